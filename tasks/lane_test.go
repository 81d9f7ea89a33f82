package tasks_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// Lane ids stand in Redis keys: one that changes orphans what is pending.
func TestLaneID(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		lane   tasks.Lane
		id     string
		family string
	}{
		{
			tasks.Lane{Project: "prj_abc", Kind: tasks.Tag, Operation: tasks.Delete, Target: tasks.Production, DeadlineSeconds: 60, Priority: tasks.Normal},
			"prj_abc:tag:delete:production:60:normal",
			"prj_abc:tag:delete:production:60",
		},
		{
			tasks.Lane{Project: "prj_abc", Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Urgent},
			"prj_abc:tag:delete:all:none:urgent",
			"prj_abc:tag:delete:all:none",
		},
		{
			tasks.Lane{Project: "prj_abc", Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: 0, Priority: tasks.Bulk},
			"prj_abc:tag:delete:all:0:bulk",
			"prj_abc:tag:delete:all:0",
		},
		{
			tasks.Lane{Project: "My.Shop-2_x", Kind: tasks.Tag, Operation: tasks.Invalidate, Target: tasks.Preview, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal},
			"My.Shop-2_x:tag:invalidate:preview:none:normal",
			"My.Shop-2_x:tag:invalidate:preview:none",
		},
		{
			tasks.Lane{Project: "prj_abc", Kind: tasks.SrcImage, Operation: tasks.Delete, DeadlineSeconds: tasks.MaxDeadlineSeconds, Priority: tasks.Normal},
			"prj_abc:src-image:delete:all:31536000:normal",
			"prj_abc:src-image:delete:all:31536000",
		},
	} {
		t.Run(test.id, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, test.lane.Validate())
			assert.Equal(t, test.id, test.lane.ID())
			assert.Equal(t, test.family, test.lane.Family())
			got, err := tasks.ParseLane(test.id)
			require.NoError(t, err)
			assert.Equal(t, test.lane, got)
		})
	}
}

func TestLaneWith(t *testing.T) {
	t.Parallel()
	normal := tasks.Lane{Project: "p", Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: 5, Priority: tasks.Normal}
	urgent := normal.With(tasks.Urgent)
	assert.Equal(t, tasks.Urgent, urgent.Priority)
	assert.Equal(t, tasks.Normal, normal.Priority, "the receiver stays as it was")
	assert.Equal(t, normal.Family(), urgent.Family())
	assert.NotEqual(t, normal.ID(), urgent.ID())
}

func TestParseLane_Refuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, id, want string }{
		{"empty", "", "does not have six parts"},
		{"five parts", "p:tag:delete:all:none", "does not have six parts"},
		{"seven parts", "p:tag:delete:all:none:normal:x", "does not have six parts"},
		{"no project", ":tag:delete:all:none:normal", "project: is missing"},
		{"project with a brace", "p{a}:tag:delete:all:none:normal", "project: "},
		{"unknown kind", "p:url:delete:all:none:normal", "kind: "},
		{"unknown operation", "p:tag:purge:all:none:normal", "operation: "},
		{"unknown target", "p:tag:delete:staging:none:normal", "target: "},
		{"target left empty", "p:tag:delete::none:normal", "one right spelling"},
		{"target of images", "p:src-image:delete:production:none:normal", "target: "},
		{"deadline of an invalidate", "p:tag:invalidate:all:60:normal", "deadline_seconds: "},
		{"deadline is a word", "p:tag:delete:all:soon:normal", "not a number"},
		{"deadline left empty", "p:tag:delete:all::normal", "not a number"},
		{"no deadline as a number", "p:tag:delete:all:-1:normal", "one right spelling"},
		{"negative deadline", "p:tag:delete:all:-2:normal", "deadline_seconds: "},
		{"deadline past a year", "p:tag:delete:all:31536001:normal", "deadline_seconds: "},
		{"deadline with a plus", "p:tag:delete:all:+60:normal", "one right spelling"},
		{"deadline with a zero in front", "p:tag:delete:all:060:normal", "one right spelling"},
		{"unknown priority", "p:tag:delete:all:none:high", "priority: "},
		{"no priority", "p:tag:delete:all:none:", "priority: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := tasks.ParseLane(test.id)
			require.ErrorIs(t, err, tasks.ErrInvalid)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestLaneValidate_Project(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ project, want string }{
		{"prj_abc", ""},
		{strings.Repeat("a", 100), ""},
		{strings.Repeat("a", 101), "is 101 bytes long, the limit is 100"},
		{"", "is missing"},
		{"a:b", "may hold only"},
		{"a b", "may hold only"},
		{"a{b}", "may hold only"},
		{"café", "may hold only"},
		{"*", "may hold only"},
	} {
		lane := tasks.Lane{Project: test.project, Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal}
		err := lane.Validate()
		if test.want == "" {
			assert.NoError(t, err, test.project)
			continue
		}
		assert.ErrorContains(t, err, "project: ", test.project)
		assert.ErrorContains(t, err, test.want, test.project)
	}
}

// Any two lanes of one id are one lane, and any two of one family differ at
// most in priority: what is pending in one never goes out with another's options.
func FuzzLaneID(f *testing.F) {
	f.Add("prj_abc", uint8(0), 60, "prj_abc", uint8(1), 60)
	f.Add("a", uint8(3), -1, "a", uint8(7), 0)
	f.Add("a:tag", uint8(0), 6, "a", uint8(0), 60)
	f.Add("all", uint8(0x2a), 31536000, "none", uint8(0x15), 3153600)
	f.Add("a.b", uint8(12), 1, "a_b", uint8(12), 11)
	f.Fuzz(func(t *testing.T, project1 string, choice1 uint8, deadline1 int, project2 string, choice2 uint8, deadline2 int) {
		a, b := chosen(project1, choice1, deadline1), chosen(project2, choice2, deadline2)
		for _, lane := range []tasks.Lane{a, b} {
			if lane.Validate() != nil {
				return
			}
			got, err := tasks.ParseLane(lane.ID())
			require.NoError(t, err)
			require.Equal(t, lane, got)
		}
		require.Equal(t, a == b, a.ID() == b.ID(), "%q and %q", a.ID(), b.ID())
		require.Equal(t, a.With(tasks.Normal) == b.With(tasks.Normal), a.Family() == b.Family(), "%q and %q", a.Family(), b.Family())
	})
}

// chosen returns the lane whose named values the bits of choice pick.
func chosen(project string, choice uint8, deadline int) tasks.Lane {
	n := int(choice)
	return tasks.Lane{
		Project:         project,
		Kind:            []tasks.Kind{tasks.Tag, tasks.SrcImage}[n&1],
		Operation:       []tasks.Operation{tasks.Delete, tasks.Invalidate}[n>>1&1],
		Target:          []tasks.Target{tasks.AllTargets, tasks.Production, tasks.Preview, tasks.AllTargets}[n>>2&3],
		DeadlineSeconds: deadline,
		Priority:        tasks.Priorities[n>>4%3],
	}
}
