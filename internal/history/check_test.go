package history_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/tasks"
)

func shop() history.Family {
	return history.Family{Project: "shop", Kind: tasks.Tag, Operation: tasks.Delete}
}

// at is a moment of a run, in milliseconds from its start.
func at(ms int) time.Time {
	return time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
}

// asked is a request for items, asked for at the given time and accepted 10 ms later.
func asked(id string, ms int, items ...string) history.Request {
	return history.Request{ID: id, Family: shop(), Items: items, Asked: at(ms), Accepted: at(ms + 10)}
}

// called is a call that started at the given time and took 20 ms.
func called(ms, status int, items ...string) history.Call {
	return history.Call{
		Family: shop(), Items: items, Start: at(ms), End: at(ms + 20),
		Status: status, OK: status == 200,
	}
}

func died(ms int, items ...string) history.Letter {
	return history.Letter{Family: shop(), Items: items, At: at(ms)}
}

func TestCheck_Lost(t *testing.T) {
	t.Parallel()
	type call = func(*history.Call)
	elsewhere := func(change call) history.Call {
		c := called(200, 200, "a")
		change(&c)
		return c
	}
	late := func(change func(*history.Request)) history.Request {
		r := asked("1", 100, "a")
		change(&r)
		return r
	}
	one := asked("1", 100, "a")
	for _, test := range []struct {
		name    string
		request history.Request
		calls   []history.Call
		letters []history.Letter
		lost    bool
	}{
		{"called afterwards", one, []history.Call{called(200, 200, "a", "b")}, nil, false},
		{"called by the second try", one, []history.Call{called(150, 503, "a"), called(900, 200, "a")}, nil, false},
		{"the order of the journal does not matter", one, []history.Call{called(200, 200, "a"), called(50, 200, "a")}, nil, false},
		// The content had changed by the time that the producer asked.
		{"called at the moment it asked", one, []history.Call{called(100, 200, "a")}, nil, false},
		{"called before it was told", one, []history.Call{called(105, 200, "a")}, nil, false},

		{"never called", one, nil, nil, true},
		{"called before it asked", one, []history.Call{called(99, 200, "a")}, nil, true},
		{"call that was under way when it asked", one, []history.Call{called(90, 200, "a")}, nil, true},
		{"call failed", one, []history.Call{called(200, 503, "a")}, nil, true},
		{"call was not answered", one, []history.Call{called(200, 0, "a")}, nil, true},
		{"call was rate limited", one, []history.Call{called(200, 429, "a")}, nil, true},
		{"call was refused", one, []history.Call{called(200, 400, "a", "b")}, nil, true},
		{"other item", one, []history.Call{called(200, 200, "A")}, nil, true},
		{"other project", one, []history.Call{elsewhere(func(c *history.Call) { c.Project = "blog" })}, nil, true},
		{"other kind", one, []history.Call{elsewhere(func(c *history.Call) { c.Kind = tasks.SrcImage })}, nil, true},
		{"other operation", one, []history.Call{elsewhere(func(c *history.Call) { c.Operation = tasks.Invalidate })}, nil, true},
		{"other target", one, []history.Call{elsewhere(func(c *history.Call) { c.Target = tasks.Preview })}, nil, true},
		// The answer broke off, yet the far side had done it.
		{"took effect without an answer", one, []history.Call{elsewhere(func(c *history.Call) { c.Status = 0 })}, nil, false},

		{"settle not over", late(func(r *history.Request) { r.Settle = 150 * time.Millisecond }), []history.Call{called(200, 200, "a")}, nil, true},
		{"settle over", late(func(r *history.Request) { r.Settle = 100 * time.Millisecond }), []history.Call{called(200, 200, "a")}, nil, false},
		{"embargo not over", late(func(r *history.Request) { r.NotBefore = at(201) }), []history.Call{called(200, 200, "a")}, nil, true},
		{"embargo over", late(func(r *history.Request) { r.NotBefore = at(200) }), []history.Call{called(200, 200, "a")}, nil, false},
		{"embargo of yesterday", late(func(r *history.Request) { r.NotBefore = at(-9) }), []history.Call{called(50, 200, "a")}, nil, true},

		{"died afterwards", one, nil, []history.Letter{died(200, "a")}, false},
		{"died twice, the old letter last", one, nil, []history.Letter{died(200, "a"), died(50, "a")}, false},
		{"letter older than the request", one, nil, []history.Letter{died(99, "a")}, true},
		{"letter of the same second", one, nil, []history.Letter{{Family: shop(), Items: []string{"a"}, At: at(0), Grain: time.Second}}, false},
		{"letter of the second before", one, nil, []history.Letter{{Family: shop(), Items: []string{"a"}, At: at(-1000), Grain: time.Second}}, true},
		{"letter of another item", one, nil, []history.Letter{died(200, "b")}, true},
		{"letter of another family", one, nil, []history.Letter{{Items: []string{"a"}, At: at(200)}}, true},
		{"letter before the settle time", late(func(r *history.Request) { r.Settle = time.Second }), nil, []history.Letter{died(200, "a")}, true},
		{"the request is the letter", one, nil, []history.Letter{{Family: shop(), Items: []string{"a"}, Request: "1"}}, false},
		{"another request is the letter", one, nil, []history.Letter{{Family: shop(), Items: []string{"a"}, Request: "2", At: at(200)}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			report := history.Check([]history.Request{test.request}, test.calls, test.letters)
			assert.Equal(t, 1, report.Asked)
			assert.Equal(t, 1, report.Purged+report.Dead+len(report.Lost), "each item is one of the three")
			if !test.lost {
				require.Empty(t, report.Lost)
				return
			}
			require.Len(t, report.Lost, 1)
			assert.Equal(t, "1", report.Lost[0].Request)
			assert.Equal(t, "a", report.Lost[0].Item)
			assert.Equal(t, shop(), report.Lost[0].Family)
			assert.Empty(t, report.Waits)
		})
	}
}

// A call with what a rule put in an item's place covers it, if the rule was asked for and
// matches, and the call would have done had it held the item.
func TestCheck_Collapsed(t *testing.T) {
	t.Parallel()
	rules := []history.Rule{
		{Project: "shop", Match: "product:*", To: "products"},
		{Project: "shop", Match: "home", To: "start"},
		{Project: "blog", To: "*"},
	}
	all := history.Rule{Project: "shop", To: "*"}
	elsewhere := func(change func(*history.Call)) history.Call {
		c := called(200, 200, "products")
		change(&c)
		return c
	}
	for _, test := range []struct {
		name    string
		item    string
		calls   []history.Call
		letters []history.Letter
		more    []history.Rule
		purged  bool
		dead    bool
	}{
		{"called afterwards", "product:1", []history.Call{called(200, 200, "products")}, nil, nil, true, false},
		{"one tag, one other", "home", []history.Call{called(200, 200, "start")}, nil, nil, true, false},
		{"by two steps", "product:1", []history.Call{called(200, 200, "*")}, nil, []history.Rule{all}, true, false},
		{"rules that lead in a circle", "product:1", nil, nil, []history.Rule{{Project: "shop", Match: "products", To: "product:all"}}, false, false},
		{"dropped before any call", "product:1", nil, nil, nil, false, false},
		{"the call began before it was asked for", "product:1", []history.Call{called(99, 200, "products")}, nil, nil, false, false},
		{"the call failed", "product:1", []history.Call{called(200, 503, "products")}, nil, nil, false, false},
		{"no rule matches", "production", []history.Call{called(200, 200, "products")}, nil, nil, false, false},
		{"a tag is matched whole", "home-2", []history.Call{called(200, 200, "start")}, nil, nil, false, false},
		{"another rule's", "home", []history.Call{called(200, 200, "products")}, nil, nil, false, false},
		{"another project's rule", "product:1", []history.Call{called(200, 200, "*")}, nil, nil, false, false},
		{"other operation", "product:1", []history.Call{elsewhere(func(c *history.Call) { c.Operation = tasks.Invalidate })}, nil, nil, false, false},
		{"other target", "product:1", []history.Call{elsewhere(func(c *history.Call) { c.Target = tasks.Preview })}, nil, nil, false, false},
		{"died in its place", "product:1", nil, []history.Letter{died(200, "products")}, nil, false, true},
		{"died too early", "product:1", nil, []history.Letter{died(99, "products")}, nil, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			report := history.Check([]history.Request{asked("1", 100, test.item)}, test.calls, test.letters, slices.Concat(rules, test.more)...)
			assert.Equal(t, [2]bool{test.purged, test.dead}, [2]bool{report.Purged == 1, report.Dead == 1})
			assert.Equal(t, report.Purged, report.Collapsed)
			assert.Equal(t, 1, report.Purged+report.Dead+len(report.Lost))
		})
	}
	// Images have no rules, and a call with the item itself is no collapse.
	image := asked("1", 100, "/a.png")
	image.Kind = tasks.SrcImage
	report := history.Check([]history.Request{image, asked("2", 100, "product:1")},
		[]history.Call{called(200, 200, "*", "product:1", "products"), {Family: image.Family, Items: []string{"*"}, Start: at(200), OK: true}}, nil, append(rules, all)...)
	assert.Equal(t, 1, report.Purged)
	assert.Zero(t, report.Collapsed)
	assert.Len(t, report.Lost, 1)
	// The wait of a request ends with the earliest call that covers it.
	report = history.Check([]history.Request{asked("1", 100, "product:1")},
		[]history.Call{called(300, 200, "*"), called(200, 200, "products")}, nil, append(rules, all)...)
	assert.Equal(t, map[string]time.Duration{"1": 110 * time.Millisecond}, report.Waits)
}

// Of the same tag asked for three times, the twin that waits may be dropped and
// the one whose twin's call is under way must not.
func TestCheck_Duplicates(t *testing.T) {
	t.Parallel()
	requests := []history.Request{asked("1", 0, "a", "b"), asked("2", 50, "a"), asked("3", 105, "a")}
	report := history.Check(requests, []history.Call{called(100, 200, "a", "b")}, nil)
	assert.Equal(t, []history.Loss{{Request: "3", Family: shop(), Item: "a", Due: at(105)}}, report.Lost)
	assert.Equal(t, 3, report.Requests)
	assert.Equal(t, 4, report.Asked)
	assert.Equal(t, 3, report.Purged)
	assert.Equal(t, 2, report.Dropped())

	report = history.Check(requests, []history.Call{called(100, 200, "a", "b"), called(130, 200, "a")}, nil)
	assert.Empty(t, report.Lost)
	assert.Equal(t, 1, report.Dropped())
}

// A wait ends with the last item of the request, and is never negative.
func TestCheck_Waits(t *testing.T) {
	t.Parallel()
	report := history.Check(
		[]history.Request{asked("1", 100, "a", "b"), asked("2", 195, "a"), asked("3", 100, "a", "dead")},
		[]history.Call{called(200, 200, "a"), called(300, 200, "b"), {Family: shop(), Items: []string{"a"}, Start: at(197), End: at(198), OK: true, Status: 200}},
		[]history.Letter{died(400, "dead")},
	)
	assert.Equal(t, map[string]time.Duration{"1": 210 * time.Millisecond, "2": 0}, report.Waits)
	assert.Equal(t, 1, report.Dead)
}

func TestRequests(t *testing.T) {
	t.Parallel()
	p := tasks.Purge{
		ID: "1", Project: "shop", Operation: tasks.Delete, Target: tasks.Preview, Tags: []string{"a"}, SrcImages: []string{"/x.png"},
		Settle: time.Second, NotBefore: at(9),
	}
	got := history.Requests(p, at(1), at(2))
	require.Len(t, got, 2)
	assert.Equal(t, history.Request{
		ID: "1", Family: history.Family{Project: "shop", Kind: tasks.Tag, Operation: tasks.Delete, Target: tasks.Preview},
		Items: []string{"a"}, Asked: at(1), Accepted: at(2), Priority: tasks.Normal, Settle: time.Second, NotBefore: at(9),
	}, got[0])
	assert.Equal(t, history.Family{Project: "shop", Kind: tasks.SrcImage, Operation: tasks.Delete}, got[1].Family, "images take no target")
	report := history.Check(got, nil, nil)
	assert.Equal(t, 1, report.Requests, "one id is one request")
	assert.Len(t, report.Lost, 2)
}

func TestCheck_Nothing(t *testing.T) {
	t.Parallel()
	report := history.Check(nil, nil, nil)
	assert.Zero(t, report.Requests+report.Asked+report.Calls()+report.Fewest)
	assert.Zero(t, report.Overhead())
	assert.Empty(t, report.Lost)
}

func BenchmarkCheck(b *testing.B) {
	var requests []history.Request
	var calls []history.Call
	for i := range 10_000 {
		requests = append(requests, asked(fmt.Sprint(i), i, fmt.Sprint("t", i%700), fmt.Sprint("t", i%13)))
		calls = append(calls, called(i, 200, fmt.Sprint("t", i%700), fmt.Sprint("t", i%13)))
	}
	for b.Loop() {
		history.Check(requests, calls, nil)
	}
}
