package worker

import (
	"fmt"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgepurge/edgepurge/tasks"
)

func items(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("tag-%d", i)
	}
	return all
}

func TestHalves_KeepEverythingButItems(t *testing.T) {
	parent := tasks.Call{
		Batch: "b", Account: "acme", Lane: tagLane("prj"), Items: items(3), DeadlineSeconds: 60, Attempt: 4,
	}
	got := halves(parent)
	left, right := parent, parent
	left.Batch, left.Items, left.Attempt = "b.0", []string{"tag-0"}, 3
	right.Batch, right.Items, right.Attempt = "b.1", []string{"tag-1", "tag-2"}, 3
	assert.Equal(t, [2]tasks.Call{left, right}, got, "the call that was refused is no failed attempt")
}

func TestIsHalf(t *testing.T) {
	id := ulid.Make().String()
	assert.False(t, isHalf(id))
	for _, half := range halves(tasks.Call{Batch: id, Items: items(2)}) {
		assert.True(t, isHalf(half.Batch))
	}
}

// hunt plays what a worker does with a batch that is refused as long as a bad
// item is in it, and returns how many calls that takes.
func hunt(batch tasks.Call, bad map[string]bool, visit func(call tasks.Call, dead bool)) int {
	refused := slices.ContainsFunc(batch.Items, func(item string) bool { return bad[item] })
	if !refused || len(batch.Items) == 1 {
		visit(batch, refused)
		return 1
	}
	h := halves(batch)
	return 1 + hunt(h[0], bad, visit) + hunt(h[1], bad, visit)
}

func TestHalves_EveryItemOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, tasks.MaxTagStringBytes/2).Draw(t, "n")
		bad := map[string]bool{}
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 3).Draw(t, "bad") {
			bad[fmt.Sprintf("tag-%d", i)] = true
		}
		ids := map[string]bool{}
		var called, dead []string
		hunt(tasks.Call{Batch: ulid.Make().String(), Items: items(n)}, bad, func(c tasks.Call, died bool) {
			if len(c.Batch) > tasks.MaxIDBytes {
				t.Fatalf("id %q of %d bytes cannot be decoded again", c.Batch, len(c.Batch))
			}
			if ids[c.Batch] {
				t.Fatalf("id %q twice", c.Batch)
			}
			ids[c.Batch] = true
			called = append(called, c.Items...)
			if died {
				dead = append(dead, c.Items...)
			}
		})
		if !slices.Equal(called, items(n)) {
			t.Fatalf("%d items became %d", n, len(called))
		}
		if len(dead) != len(bad) {
			t.Fatalf("%d letters for %d bad items", len(dead), len(bad))
		}
	})
}

func TestHalves_NineCallsFindOneOfSixteen(t *testing.T) {
	for i := range 16 {
		calls := hunt(tasks.Call{Batch: "b", Items: items(16)}, map[string]bool{fmt.Sprintf("tag-%d", i): true}, func(tasks.Call, bool) {})
		require.LessOrEqual(t, calls, 9)
	}
}
