package emulator

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func seqs(calls []Call) []int64 {
	out := []int64{}
	for _, c := range calls {
		out = append(out, c.Seq)
	}
	return out
}

// span is the numbers from..to.
func span(from, to int64) []int64 {
	out := []int64{}
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}

func TestJournal_Since(t *testing.T) {
	const many = 2*chunkSize + 10
	for name, tt := range map[string]struct {
		most, calls int
		since       int64
		limit       int
		want        []int64
		dropped     int64
	}{
		"empty":                {0, 0, 0, 0, nil, 0},
		"all":                  {0, 5, 0, 0, span(1, 5), 0},
		"since":                {0, 5, 3, 0, span(4, 5), 0},
		"since the last":       {0, 5, 5, 0, nil, 0},
		"since the future":     {0, 5, 99, 0, nil, 0},
		"limit":                {0, 5, 1, 2, span(2, 3), 0},
		"over chunks":          {0, many, chunkSize - 2, 4, span(chunkSize-1, chunkSize+2), 0},
		"all over chunks":      {0, many, 0, 0, span(1, many), 0},
		"cap":                  {3, 5, 0, 0, span(3, 5), 2},
		"cap, not reached":     {10, 5, 0, 0, span(1, 5), 0},
		"cap of one":           {1, 5, 0, 0, span(5, 5), 4},
		"cap, since a dropped": {3, 5, 1, 0, span(3, 5), 2},
		"cap over chunks":      {chunkSize + 1, many, 0, 0, span(many-chunkSize, many), many - chunkSize - 1},
		"cap of a chunk":       {chunkSize, many, 0, 0, span(many-chunkSize+1, many), many - chunkSize},
		"none kept":            {-1, 5, 0, 0, nil, 5},
	} {
		t.Run(name, func(t *testing.T) {
			j := journal{most: tt.most}
			for range tt.calls {
				j.add(Call{})
			}
			calls, last, dropped := j.since(tt.since, tt.limit)
			if tt.want == nil {
				tt.want = []int64{}
			}
			assert.Equal(t, tt.want, seqs(calls))
			assert.Equal(t, int64(tt.calls), last)
			assert.Equal(t, tt.dropped, dropped)
		})
	}
}

// A capped journal must not keep what it has dropped.
func TestJournal_CapBoundsTheMemory(t *testing.T) {
	j := journal{most: 10}
	for range 20 * chunkSize {
		j.add(Call{Items: []string{"a"}})
	}
	assert.LessOrEqual(t, len(j.chunks), 2)
	for i := range j.head {
		assert.Nil(t, j.chunks[0][i].Items)
	}
}

func TestJournal_ResetGoesOnCounting(t *testing.T) {
	j := journal{most: 2}
	for range 5 {
		j.add(Call{})
	}
	j.reset()
	calls, last, dropped := j.since(0, 0)
	assert.Empty(t, calls)
	assert.Equal(t, int64(5), last)
	assert.Zero(t, dropped)
	j.add(Call{})
	calls, _, _ = j.since(0, 0)
	assert.Equal(t, []int64{6}, seqs(calls))
}

func TestJournal_Concurrent(t *testing.T) {
	b := start(t, Config{JournalCap: 50})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				_, err := b.purge("a")
				assert.NoError(t, err)
				b.Journal()
			}
		})
	}
	wg.Wait()
	assert.Equal(t, span(151, 200), seqs(b.Journal()))
	s := b.Stats()
	assert.Equal(t, int64(200), s.Calls)
	assert.Equal(t, 50, s.Kept)
	assert.Equal(t, int64(150), s.Dropped)
}

// Who has the answer finds the call in the journal, and never the token.
func TestJournal_IsWrittenBeforeTheAnswer(t *testing.T) {
	b := start(t, Config{})
	for i := range 50 {
		_, err := b.purge(fmt.Sprint(i))
		require.NoError(t, err)
		calls := b.Journal()
		require.Len(t, calls, i+1)
		assert.Equal(t, []string{fmt.Sprint(i)}, calls[i].Items)
	}
	assert.NotContains(t, fmt.Sprintf("%+v", b.Journal()), secret)
}
