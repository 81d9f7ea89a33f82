package tasks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// validCall returns a call without a fault, changed by each of the given functions.
func validCall(changes ...func(*tasks.Call)) tasks.Call {
	c := tasks.Call{
		Batch: "01JD9X7M0000000000000000AB", Account: "acme",
		Lane:            tasks.Lane{Project: "prj_abc", Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal},
		Items:           []string{"post-1", "post-2"},
		DeadlineSeconds: tasks.NoDeadline,
		ClaimedAt:       time.Date(2026, 11, 22, 5, 0, 1, 0, time.UTC),
	}
	for _, change := range changes {
		change(&c)
	}
	return c
}

func TestCallValidate(t *testing.T) {
	t.Parallel()
	type change = func(*tasks.Call)
	images := func(c *tasks.Call) { c.Lane.Kind = tasks.SrcImage }
	items := func(items ...string) change { return func(c *tasks.Call) { c.Items = items } }
	staggered := func(seconds int) change { return func(c *tasks.Call) { c.DeadlineSeconds = seconds } }
	both := func(seconds int) change {
		return func(c *tasks.Call) { c.DeadlineSeconds, c.Lane.DeadlineSeconds = seconds, seconds }
	}
	long := strings.Repeat("a", 255)
	for _, test := range []struct {
		name    string
		changes []change
		want    string // part of the error; "" is valid
	}{
		{"least", nil, ""},
		{"half of a half of a split", []change{func(c *tasks.Call) { c.Batch += ".0.1" }}, ""},
		{"no batch", []change{func(c *tasks.Call) { c.Batch = "" }}, `batch: "" must be`},
		{"longest batch id", []change{func(c *tasks.Call) { c.Batch = strings.Repeat("a", 64) }}, ""},
		{"batch id too long", []change{func(c *tasks.Call) { c.Batch = strings.Repeat("a", 65) }}, "batch: "},
		{"batch id with a colon", []change{func(c *tasks.Call) { c.Batch = "a:0" }}, "batch: "},
		{"no account", []change{func(c *tasks.Call) { c.Account = "" }}, "account: "},
		{"account with a brace", []change{func(c *tasks.Call) { c.Account = "a}b" }}, "account: "},
		{"fault of the lane", []change{func(c *tasks.Call) { c.Lane.Project = "" }}, "project: is missing"},
		{"target of images", []change{images, func(c *tasks.Call) { c.Lane.Target = tasks.Production }}, "target: "},
		{"no items", []change{items()}, "items: is empty"},
		{"bad item", []change{items("a", "b,c")}, "items[1]: holds a comma"},
		{"the whole project", []change{items("*")}, ""},

		{"16 tags", []change{items(numbered(16)...)}, ""},
		{"16 tags of 256 bytes", []change{items(repeat(16, long+"b")...)}, ""},
		{"17 tags that fit the string form", []change{items(numbered(17)...)}, ""},
		{"tags of 8196 bytes in the string form", []change{items(append(repeat(32, long), "abcd")...)}, ""},
		{"tags of 8197 bytes in the string form", []change{items(append(repeat(32, long), "abcde")...)}, "items: 33 tags of 8197 bytes, the limit of a call is 16 tags or 8196 bytes"},
		{"8 images", []change{images, items(numbered(8)...)}, ""},
		{"9 images", []change{images, items(numbered(9)...)}, "items: 9 source images, the limit of a call is 8"},

		{"the lane's deadline", []change{both(60)}, ""},
		{"deadline 0", []change{both(0)}, ""},
		{"staggered", []change{staggered(60)}, ""},
		{"staggered at a year", []change{staggered(31536000)}, ""},
		{"staggered past a year", []change{staggered(31536001)}, "deadline_seconds: 31536001 is out of range"},
		{"staggered invalidate", []change{staggered(60), func(c *tasks.Call) { c.Lane.Operation = tasks.Invalidate }}, "deadline_seconds: an invalidate"},
		// The wire has one deadline: written with another, the lane would come back changed.
		{"another deadline than the lane's", []change{both(60), staggered(30)}, "deadline_seconds: 30 differs from the lane's 60"},
		{"none where the lane has one", []change{both(60), staggered(tasks.NoDeadline)}, "deadline_seconds: -1 differs from the lane's 60"},

		{"attempts", []change{func(c *tasks.Call) { c.Attempt = 20 }}, ""},
		{"negative attempt", []change{func(c *tasks.Call) { c.Attempt = -1 }}, "attempt: -1 is negative"},
		{"verdict", []change{func(c *tasks.Call) { c.Verdict = &tasks.Verdict{Reason: "unauthorized"} }}, ""},
		{"verdict without reason", []change{func(c *tasks.Call) { c.Verdict = &tasks.Verdict{Status: 403} }}, "verdict.reason: is missing"},
		{"year 10000 in UTC", []change{func(c *tasks.Call) {
			c.ClaimedAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))
		}}, "claimed_at: the year 10000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := validCall(test.changes...)
			err := c.Validate()
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tasks.ErrInvalid)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestCallValidate_AllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	c := validCall(func(c *tasks.Call) {
		c.Batch, c.Account, c.Lane.Project, c.Items, c.Attempt = "", "", "", []string{"", " a"}, -1
	})
	err := c.Validate()
	require.ErrorIs(t, err, tasks.ErrInvalid)
	for _, field := range []string{"batch", "account", "project", "items[0]", "items[1]", "attempt"} {
		assert.ErrorContains(t, err, field+": ")
	}
}

func TestVerdictError(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		verdict tasks.Verdict
		want    string
	}{
		{tasks.Verdict{Reason: "attempts"}, "attempts"},
		{tasks.Verdict{Reason: "gone", Status: 410}, "gone: Vercel answered 410"},
		{tasks.Verdict{Reason: "timeout", Message: "no answer in 10s"}, "timeout: no answer in 10s"},
		{
			tasks.Verdict{Reason: "unauthorized", Status: 403, Code: "forbidden", Message: "Not authorized", RequestID: "fra1::abc"},
			"unauthorized: Vercel answered 403 forbidden: Not authorized (x-vercel-id fra1::abc)",
		},
	} {
		assert.EqualError(t, &test.verdict, test.want)
	}
}

func repeat(n int, item string) []string {
	items := make([]string, n)
	for i := range items {
		items[i] = item
	}
	return items
}
