package tasks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// valid returns a request without a fault, changed by each of the given functions.
func valid(changes ...func(*tasks.Purge)) tasks.Purge {
	p := tasks.Purge{Project: "prj_abc", Operation: tasks.Delete, Tags: []string{"post-1"}}
	for _, change := range changes {
		change(&p)
	}
	return p
}

func deadline(seconds int) func(*tasks.Purge) {
	return func(p *tasks.Purge) { p.DeadlineSeconds = &seconds }
}

func TestPurgeValidate(t *testing.T) {
	t.Parallel()
	asked := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	type change = func(*tasks.Purge)
	images := func(p *tasks.Purge) { p.Tags, p.SrcImages = nil, []string{"/a.png"} }
	invalidate := func(p *tasks.Purge) { p.Operation = tasks.Invalidate }
	for _, test := range []struct {
		name    string
		changes []change
		want    string // the whole error; "" is valid
	}{
		{"least", nil, ""},
		{"images alone", []change{images}, ""},
		{"tags and images", []change{func(p *tasks.Purge) { p.SrcImages = []string{"/a.png"} }}, ""},
		{"more items than a call takes", []change{func(p *tasks.Purge) { p.Tags = numbered(1000) }}, ""},
		{"nothing to purge", []change{func(p *tasks.Purge) { p.Tags = nil }}, "tags: name at least one tag or source image"},

		{"longest id", []change{func(p *tasks.Purge) { p.ID = strings.Repeat("a", 64) }}, ""},
		{"id too long", []change{func(p *tasks.Purge) { p.ID = strings.Repeat("a", 65) }}, `id: "` + strings.Repeat("a", 64) + `…" must be 1 to 64 letters, digits, '.', '_' or '-'`},
		{"id with a colon", []change{func(p *tasks.Purge) { p.ID = "a:b" }}, `id: "a:b" must be 1 to 64 letters, digits, '.', '_' or '-'`},
		{"receipt of the whole", []change{func(p *tasks.Purge) { p.Receipt = strings.Repeat("a", 64) }}, ""},
		{"receipt too long", []change{func(p *tasks.Purge) { p.Receipt = strings.Repeat("a", 65) }}, `receipt: "` + strings.Repeat("a", 64) + `…" must be 1 to 64 letters, digits, '.', '_' or '-'`},
		{"receipt with a brace", []change{func(p *tasks.Purge) { p.Receipt = "{a}" }}, `receipt: "{a}" must be 1 to 64 letters, digits, '.', '_' or '-'`},
		{"no project", []change{func(p *tasks.Purge) { p.Project = "" }}, "project: is missing: give the project's id (prj_…) or name"},
		{"no operation", []change{func(p *tasks.Purge) { p.Operation = "" }}, `operation: is missing: use "delete" or "invalidate"`},
		{"unknown operation", []change{func(p *tasks.Purge) { p.Operation = "DELETE" }}, `operation: "DELETE" is unknown: use "delete" or "invalidate"`},
		{"unknown target", []change{func(p *tasks.Purge) { p.Target = "staging" }}, `target: "staging" is unknown: use "production" or "preview", or leave it out for every environment`},
		{"target of tags", []change{func(p *tasks.Purge) { p.Target = tasks.Preview }}, ""},
		{"target of images", []change{images, func(p *tasks.Purge) { p.Target = tasks.Preview }}, "target: Vercel takes no target for source images: leave it out"},
		{"target of tags beside images", []change{func(p *tasks.Purge) { p.Target, p.SrcImages = tasks.Preview, []string{"/a.png"} }}, ""},
		{"every priority: urgent", []change{func(p *tasks.Purge) { p.Priority = tasks.Urgent }}, ""},
		{"every priority: normal", []change{func(p *tasks.Purge) { p.Priority = tasks.Normal }}, ""},
		{"every priority: bulk", []change{func(p *tasks.Purge) { p.Priority = tasks.Bulk }}, ""},
		{"unknown priority", []change{func(p *tasks.Purge) { p.Priority = "high" }}, `priority: "high" is unknown: use "urgent", "normal" or "bulk"`},

		{"deadline -1", []change{deadline(-1)}, "deadline_seconds: -1 is out of range: use 0 to 31536000 seconds, a year"},
		{"deadline -1 of an invalidate", []change{invalidate, deadline(-1)}, "deadline_seconds: -1 is out of range: use 0 to 31536000 seconds, a year"},
		{"deadline 0", []change{deadline(0)}, ""},
		{"deadline of a year", []change{deadline(31536000)}, ""},
		{"deadline past a year", []change{deadline(31536001)}, "deadline_seconds: 31536001 is out of range: use 0 to 31536000 seconds, a year"},
		{"invalidate", []change{invalidate}, ""},
		{"deadline of an invalidate", []change{invalidate, deadline(0)}, `deadline_seconds: an invalidate takes no deadline: leave it out or use operation "delete"`},

		{"longest settle", []change{func(p *tasks.Purge) { p.Settle = tasks.MaxWait }}, ""},
		{"settle too long", []change{func(p *tasks.Purge) { p.Settle = tasks.MaxWait + time.Millisecond }}, "settle_ms: 720h0m0.001s is out of range: use 0 to 720h0m0s"},
		{"negative settle", []change{func(p *tasks.Purge) { p.Settle = -time.Millisecond }}, "settle_ms: -1ms is out of range: use 0 to 720h0m0s"},
		{"settle finer than the wire", []change{func(p *tasks.Purge) { p.Settle = 1500 * time.Microsecond }}, "settle_ms: 1.5ms is finer than a millisecond"},
		{"longest rebound", []change{func(p *tasks.Purge) { p.Rebound = tasks.MaxWait }}, ""},
		{"rebound too long", []change{func(p *tasks.Purge) { p.Rebound = tasks.MaxWait + time.Millisecond }}, "rebound_ms: 720h0m0.001s is out of range: use 0 to 720h0m0s"},
		{"negative rebound", []change{func(p *tasks.Purge) { p.Rebound = -time.Second }}, "rebound_ms: -1s is out of range: use 0 to 720h0m0s"},

		{"not before, long ago", []change{func(p *tasks.Purge) { p.RequestedAt, p.NotBefore = asked, asked.AddDate(-5, 0, 0) }}, ""},
		{"not before, as late as may be", []change{func(p *tasks.Purge) { p.RequestedAt, p.NotBefore = asked, asked.Add(tasks.MaxNotBefore) }}, ""},
		{"not before, too late", []change{func(p *tasks.Purge) { p.RequestedAt, p.NotBefore = asked, asked.Add(tasks.MaxNotBefore+time.Second) }}, "not_before: 2027-11-23T05:00:01Z is more than a year away"},
		{"year 10000 in UTC", []change{func(p *tasks.Purge) {
			p.NotBefore = time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))
		}}, "not_before: the year 10000 is out of range: use 0 to 9999"},
		{"year -1 in UTC", []change{func(p *tasks.Purge) {
			p.RequestedAt = time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))
		}}, "requested_at: the year -1 is out of range: use 0 to 9999"},

		{"longest source", []change{func(p *tasks.Purge) { p.Source = strings.Repeat("s", 100) }}, ""},
		{"source too long", []change{func(p *tasks.Purge) { p.Source = strings.Repeat("s", 101) }}, "source: is 101 bytes long, the limit is 100"},
		{"source not UTF-8", []change{func(p *tasks.Purge) { p.Source = "caf\xc3" }}, `source: is not valid UTF-8: "caf\xc3"`},

		{"everything, unasked", []change{func(p *tasks.Purge) { p.Tags = []string{"a", "*"} }}, `tags[1]: "*" purges the whole project: set allow_all if that is meant`},
		{"everything, asked for", []change{func(p *tasks.Purge) { p.Tags, p.AllowAll = []string{"*"}, true }}, ""},
		{"a star in a longer tag", []change{func(p *tasks.Purge) { p.Tags = []string{"a*", "**"} }}, ""},
		{"an image called star", []change{func(p *tasks.Purge) { p.SrcImages = []string{"*"} }}, ""},
		{"bad tag", []change{func(p *tasks.Purge) { p.Tags = []string{"a", "b,c"} }}, `tags[1]: holds a comma, which Vercel reads as a separator: "b,c"`},
		{"bad image", []change{func(p *tasks.Purge) { p.SrcImages = []string{"/a", "/b", ""} }}, "src_images[2]: is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := valid(test.changes...)
			err := p.Validate()
			if test.want == "" {
				assert.NoError(t, err)
				return
			}
			require.EqualError(t, err, test.want)
			require.ErrorIs(t, err, tasks.ErrInvalid)
			field, _, _ := strings.Cut(test.want, ":")
			var fault *tasks.FieldError
			require.ErrorAs(t, err, &fault)
			assert.Equal(t, field, fault.Field)
		})
	}
}

func TestPurgeValidate_AllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	p := tasks.Purge{
		ID: "a b", Project: "a/b", Operation: "purge", Target: "staging",
		Tags: []string{"ok", "a,b", "*"}, SrcImages: []string{""},
		Priority: "high", Settle: -1, Rebound: tasks.MaxWait + 1, Source: strings.Repeat("s", 101),
	}
	deadline(-1)(&p)
	err := p.Validate()
	require.ErrorIs(t, err, tasks.ErrInvalid)
	var fields []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		field, _, _ := strings.Cut(line, ": ")
		fields = append(fields, field)
	}
	assert.Equal(t, []string{
		"id", "project", "operation", "target", "deadline_seconds", "priority",
		"settle_ms", "rebound_ms", "source", "tags[1]", "tags[2]", "src_images[0]",
	}, fields)
}

func TestPurgeValidate_MaxFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ faults, lines int }{
		{tasks.MaxFaults, tasks.MaxFaults},
		{tasks.MaxFaults + 1, tasks.MaxFaults + 1},
		{5000, tasks.MaxFaults + 1},
	} {
		p := valid(func(p *tasks.Purge) { p.Tags = make([]string, test.faults) })
		err := p.Validate()
		require.ErrorIs(t, err, tasks.ErrInvalid)
		lines := strings.Split(err.Error(), "\n")
		assert.Len(t, lines, test.lines)
		if more := test.faults - tasks.MaxFaults; more > 0 {
			assert.Equal(t, fmt.Sprintf("request: %d more faults", more), lines[tasks.MaxFaults])
		}
	}
}

// Messages quote what was given, and what was given may be as long as a payload.
func TestPurgeValidate_MessagesAreShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	p := tasks.Purge{
		ID: long, Project: long, Operation: tasks.Operation(long), Target: tasks.Target(long),
		Priority: tasks.Priority(long), Source: long, Tags: []string{long}, SrcImages: []string{long},
	}
	err := p.Validate()
	require.Error(t, err)
	assert.Less(t, len(err.Error()), 4000)
}

func TestFieldError(t *testing.T) {
	t.Parallel()
	err := &tasks.FieldError{Field: "tags[3]", Problem: "is empty"}
	require.EqualError(t, err, "tags[3]: is empty")
	require.ErrorIs(t, err, tasks.ErrInvalid)
	require.NotErrorIs(t, err, tasks.ErrVersion)
	assert.NotErrorIs(t, err, errors.ErrUnsupported)
}

func TestPurgeLane(t *testing.T) {
	t.Parallel()
	p := valid(deadline(60), func(p *tasks.Purge) {
		p.Target, p.SrcImages = tasks.Production, []string{"/a.png"}
	})
	assert.Equal(t, "prj_abc:tag:delete:production:60:normal", p.Lane(tasks.Tag).ID(), "an empty priority is normal")
	assert.Equal(t, "prj_abc:src-image:delete:all:60:normal", p.Lane(tasks.SrcImage).ID(), "images take no target")
	assert.Equal(t, []string{"post-1"}, p.Items(tasks.Tag))
	assert.Equal(t, []string{"/a.png"}, p.Items(tasks.SrcImage))

	p = valid(func(p *tasks.Purge) { p.Priority = tasks.Urgent })
	assert.Equal(t, "prj_abc:tag:delete:all:none:urgent", p.Lane(tasks.Tag).ID())
	p = valid(deadline(0))
	assert.Equal(t, "prj_abc:tag:delete:all:0:normal", p.Lane(tasks.Tag).ID(), "0 deletes at once and is not none")
}

func numbered(n int) []string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf("post-%d", i)
	}
	return items
}

func TestPurgeReceiptID(t *testing.T) {
	t.Parallel()
	p := valid(func(p *tasks.Purge) { p.ID, p.Receipt = "01JD-2", "01JD" })
	assert.Empty(t, p.ReceiptID(), "not tracked")
	p.Track = true
	assert.Equal(t, "01JD", p.ReceiptID())
	p.Receipt = ""
	assert.Equal(t, "01JD-2", p.ReceiptID())
}
