package enqueue

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestSplit_EveryItemOnceInOrderEachPartUnderTheLimit(t *testing.T) {
	item := rapid.OneOf(
		rapid.StringMatching(`[a-z]{1,12}`),
		rapid.StringMatching(`[<>&"\\\x{2028}\x{2029}\x{fffd}ß日🎉]{1,20}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		p := tasks.Purge{
			ID: "01JD9X7M0000000000000000AB", Project: "prj_abc", Operation: tasks.Delete, Priority: tasks.Normal,
			Tags:        rapid.SliceOfDistinct(item, rapid.ID[string]).Draw(t, "tags"),
			SrcImages:   rapid.SliceOfDistinct(item, rapid.ID[string]).Draw(t, "images"),
			Source:      rapid.StringN(0, 16, tasks.MaxSourceBytes).Draw(t, "source"),
			RequestedAt: time.Date(2026, 11, 22, 5, 0, 0, 123e6, time.UTC),
		}
		if len(p.Tags) > 0 {
			p.Target = tasks.Production
		}
		limit := rapid.IntRange(1200, 2400).Draw(t, "limit")
		if p.Validate() != nil {
			t.Skip("not a request")
		}
		parts, err := split(p, limit)
		require.NoError(t, err)

		var tags, images []string
		for i, part := range parts {
			payload, err := part.Encode()
			require.NoError(t, err)
			assert.Less(t, len(payload), limit)
			back, err := tasks.DecodePurge(payload) // what a worker makes of it
			require.NoError(t, err)
			tags, images = append(tags, back.Tags...), append(images, back.SrcImages...)

			want := p.ID
			if len(parts) > 1 {
				want = partID(p.ID, i+1)
			}
			assert.Equal(t, want, part.ID)
			if len(part.Tags) > 0 {
				assert.Equal(t, p.Lane(tasks.Tag), part.Lane(tasks.Tag))
			}
			assert.Equal(t, p.Lane(tasks.SrcImage), part.Lane(tasks.SrcImage))
		}
		assert.Equal(t, append([]string{}, p.Tags...), append([]string{}, tags...))
		assert.Equal(t, append([]string{}, p.SrcImages...), append([]string{}, images...))
	})
}

func TestEncodedSize_NeverTooSmall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`["\\\x00-\x20\x{2027}-\x{202a}\x{fffc}-\x{ffff}\x7f-\x{ff}]*`)).Draw(t, "s")
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		require.NoError(t, e.Encode(s))
		assert.GreaterOrEqual(t, encodedSize(s), b.Len()-len("\n"))
	})
	assert.Equal(t, 6+2, encodedSize("\xff"))
	assert.Equal(t, len(`"post-1"`), encodedSize("post-1"))
}

func TestSplit_Faults(t *testing.T) {
	p := tasks.Purge{ID: strings.Repeat("i", 63), Project: "p", Operation: tasks.Delete, Tags: []string{strings.Repeat("a", 100), strings.Repeat("b", 100)}}

	_, err := split(p, 200)
	require.ErrorContains(t, err, "tag 0 of 100 bytes does not fit into a task of 200 bytes")

	parts, err := split(p, 1000)
	require.NoError(t, err, "one part keeps an id of any length")
	require.Len(t, parts, 1)

	_, err = split(p, 300)
	require.ErrorIs(t, err, tasks.ErrInvalid)
	require.EqualError(t, err, `id: is 63 bytes long; a request in 2 tasks may have 62, the limit less "-2"`)
}
