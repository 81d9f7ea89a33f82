package history_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/tasks"
)

// numbered is n items from the first on.
func numbered(first, n int) []string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprint("t", first+i)
	}
	return items
}

func TestUse(t *testing.T) {
	t.Parallel()
	all := numbered(0, 16)
	images := called(0, 200, numbered(0, 4)...)
	images.Kind = tasks.SrcImage
	for _, test := range []struct {
		name  string
		calls []history.Call
		want  history.Use
	}{
		{"full", []history.Call{called(0, 200, all...)}, history.Use{Batches: 1, Packed: 16, Fewest: 1}},
		{"one could have been spared", []history.Call{called(0, 200, "a"), called(50, 200, "b")}, history.Use{Batches: 2, Packed: 2, Fewest: 1}},
		{"families do not share calls", []history.Call{called(0, 200, "a"), images}, history.Use{Batches: 2, Packed: 5, Fewest: 2}},
		{"8 images a call", []history.Call{images, images, images}, history.Use{Batches: 3, Packed: 12, Fewest: 2}},
		{"sent again because it was asked for again", []history.Call{called(0, 200, "a"), called(50, 200, "a")}, history.Use{Batches: 2, Packed: 2, Fewest: 1}},
		{"retry", []history.Call{called(0, 503, all...), called(50, 200, all...)}, history.Use{Batches: 1, Failed: 1, Packed: 16, Fewest: 1}},
		{"no answer, and packed anew", []history.Call{called(0, 0, "a"), called(50, 200, "a", "b")}, history.Use{Batches: 1, Failed: 1, Packed: 2, Fewest: 1}},
		{"408 and 425", []history.Call{called(0, 408, "a"), called(30, 425, "a")}, history.Use{Failed: 2}},
		{"rate limited", []history.Call{called(0, 429, all...), called(50, 200, all...)}, history.Use{Batches: 1, Limited: 1, Packed: 16, Fewest: 1}},
		{"refused for good", []history.Call{called(0, 400, "a"), called(50, 403, "b", "c")}, history.Use{Batches: 2, Packed: 3, Fewest: 1}},
		{
			"split down to one",
			[]history.Call{
				called(0, 400, all[:4]...), called(30, 400, all[:2]...), called(60, 200, all[2:4]...),
				called(90, 200, all[0]), called(120, 400, all[1]),
			},
			history.Use{Batches: 1, Halves: 4, Refused: 2, Packed: 4, Fewest: 1},
		},
		{
			"a half that fails and is rate limited is a half still",
			[]history.Call{called(0, 400, "a", "b"), called(30, 503, "a"), called(60, 429, "a"), called(90, 200, "a"), called(120, 200, "b")},
			history.Use{Batches: 1, Halves: 2, Refused: 1, Failed: 1, Limited: 1, Packed: 2, Fewest: 1},
		},
		{
			"asked for again after the split",
			[]history.Call{called(0, 400, "a", "b"), called(30, 200, "a"), called(60, 200, "b"), called(90, 200, "a")},
			history.Use{Batches: 2, Halves: 2, Refused: 1, Packed: 3, Fewest: 1},
		},
		{
			"began before the refusal: no half of it",
			[]history.Call{called(0, 400, "a", "b"), called(10, 200, "a")},
			history.Use{Batches: 2, Refused: 1, Packed: 3, Fewest: 1},
		},
		{
			"beside another item: no half of it",
			[]history.Call{called(0, 400, "a", "b"), called(30, 200, "a", "c")},
			history.Use{Batches: 2, Refused: 1, Packed: 4, Fewest: 1},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			report := history.Check(nil, test.calls, nil)
			assert.Equal(t, test.want, report.Use)
			assert.Equal(t, len(test.calls), report.Calls())
		})
	}
}

func TestOverhead(t *testing.T) {
	t.Parallel()
	u := history.Use{Batches: 11, Fewest: 10, Halves: 8}
	assert.InDelta(t, 0.1, u.Overhead(), 1e-9, "halves are apart")
}

func TestBroken(t *testing.T) {
	t.Parallel()
	kind := func(c history.Call, k tasks.Kind) history.Call { c.Kind = k; return c }
	whole := func(c history.Call) history.Call { c.StringForm = true; return c }
	long := strings.Repeat("é", 128) // 256 bytes
	for _, test := range []struct {
		name string
		call history.Call
		want string // part of the problem; "" is none
	}{
		{"16 tags", called(0, 200, numbered(0, 16)...), ""},
		{"17 tags", called(0, 400, numbered(0, 17)...), "holds 17 items"},
		{"17 tags in the string form", whole(called(0, 200, numbered(0, 17)...)), ""},
		{"string of 8223 bytes", whole(called(0, 200, repeat(32, long)...)), "8223 bytes"},
		{"8 images", kind(called(0, 200, numbered(0, 8)...), tasks.SrcImage), ""},
		{"9 images", kind(called(0, 200, numbered(0, 9)...), tasks.SrcImage), "holds 9 items"},
		{"256 bytes", called(0, 200, long), ""},
		{"257 bytes", called(0, 200, long+"b"), "257 bytes"},
		{"image of 8192 bytes", kind(called(0, 200, strings.Repeat("a", 8192)), tasks.SrcImage), ""},
		{"image of 8193 bytes", kind(called(0, 200, strings.Repeat("a", 8193)), tasks.SrcImage), "8193 bytes"},
		{"nothing", called(0, 200), "no items"},
		{"nothing that was read", called(0, 429), ""},
		{"unknown kind", kind(called(0, 200, "a"), "all"), `kind "all"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			broken := history.Check(nil, []history.Call{test.call}, nil).Broken
			if test.want == "" {
				require.Empty(t, broken)
				return
			}
			require.Len(t, broken, 1)
			assert.Contains(t, broken[0].Problem, test.want)
			assert.Equal(t, test.call, broken[0].Call)
		})
	}
}

func repeat(n int, item string) []string {
	items := make([]string, n)
	for i := range items {
		items[i] = item
	}
	return items
}

func TestWidest(t *testing.T) {
	t.Parallel()
	calls := func(starts ...int) []history.Call {
		list := make([]history.Call, len(starts))
		for i, ms := range starts {
			list[i] = called(ms, 200, "a")
		}
		return list
	}
	for _, test := range []struct {
		name  string
		calls []history.Call
		want  int
	}{
		{"none", nil, 0},
		{"one", calls(0), 1},
		{"exactly per apart", calls(0, 1000), 1},
		{"a little less", calls(0, 999), 2},
		{"in any order", calls(1500, 0, 900, 1000, 1899), 4},
		{"at the same time", calls(5, 5, 5), 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, history.Widest(test.calls, time.Second))
		})
	}
}
