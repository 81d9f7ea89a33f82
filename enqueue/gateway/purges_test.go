package gateway

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

const small = `{"project":"prj_abc","operation":"delete","tags":["a"]}`

func (r reply) receipt(tb testing.TB) receiptBody {
	tb.Helper()
	require.Equal(tb, 202, r.StatusCode, r.body)
	var body receiptBody
	require.NoError(tb, json.Unmarshal([]byte(r.body), &body))
	return body
}

// From the request to its receipt and its status, in Redis.
func TestPurges_TheWholeWay(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		d := newDesk(t, withClient(t, rdb))
		r := send(d, "POST", PurgesPath, `{"project":"blog","operation":"delete","tags":["a","b","a"],"src_images":["/i"],"allow_all":true,
			"target":"preview","deadline_seconds":60,"priority":"bulk","settle_ms":2000,"rebound_ms":60000,"not_before":"2026-11-22T10:00:00+01:00"}`)
		receipt := r.receipt(t)
		assert.Equal(t, receiptBody{receipt.Receipt, "blog", 3, true, receipt.RequestedAt}, receipt)
		assert.WithinDuration(t, time.Now(), receipt.RequestedAt, time.Minute)
		assert.Equal(t, PurgesPath+"/"+receipt.Receipt, r.Header.Get("Location"))

		sixty := 60
		assert.Equal(t, []tasks.Purge{{
			ID: receipt.Receipt, Project: "blog", Operation: tasks.Delete, Tags: []string{"a", "b"}, SrcImages: []string{"/i"}, AllowAll: true,
			Target: tasks.Preview, DeadlineSeconds: &sixty, Priority: tasks.Bulk, Settle: 2 * time.Second, Rebound: time.Minute,
			NotBefore: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), Track: true, Source: "shop", RequestedAt: receipt.RequestedAt,
		}}, stored(t, rdb))

		for _, secret := range []string{shopSecret, blogSecret} {
			r = send(d, "GET", PurgesPath+"/"+receipt.Receipt, "", "Authorization", "Bearer "+secret)
			assert.Equal(t, 200, r.StatusCode)
			var status statusBody
			require.NoError(t, json.Unmarshal([]byte(r.body), &status))
			assert.Equal(t, statusBody{Receipt: receipt.Receipt, Project: "blog", Total: 3, Pending: 3, RequestedAt: receipt.RequestedAt}, status)
		}
		other := send(d, "POST", PurgesPath, small).receipt(t)
		r = send(d, "GET", PurgesPath+"/"+other.Receipt, "", "Authorization", "Bearer "+blogSecret)
		assert.Equal(t, 404, r.StatusCode, "another key's project")
		assert.Equal(t, problem{Error: noReceipt.Error()}, r.problem(t), "as if there were none")

		untracked := send(d, "POST", PurgesPath, `{"project":"blog","operation":"invalidate","tags":["a"],"track":false}`)
		assert.False(t, untracked.receipt(t).Tracked)
		assert.Empty(t, untracked.Header.Get("Location"))
		for _, id := range []string{untracked.receipt(t).Receipt, "nobody", "a b", "", strings.Repeat("a", 65), "a/b"} {
			assert.Equal(t, 404, send(d, "GET", PurgesPath+"/"+strings.ReplaceAll(id, " ", "%20"), "").StatusCode, id)
		}
	})
}

func TestPurges_AnyNumberOfTags(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	d := newDesk(t, withClient(t, rdb))
	r := send(d, "POST", PurgesPath, `{"project":"p","operation":"invalidate","tags":`+list(100_000, "a-tag-of-some-length-")+`}`)
	receipt := r.receipt(t)
	assert.Equal(t, 100_000, receipt.Items)
	items := 0
	purges := stored(t, rdb)
	for _, p := range purges {
		items += len(p.Tags)
	}
	assert.Equal(t, 100_000, items)
	assert.Greater(t, len(purges), 1, "several tasks")

	r = send(d, "POST", PurgesPath, `{"project":"p","operation":"invalidate","tags":["`+strings.Repeat("x", MaxBodyBytes)+`"]}`)
	assert.Equal(t, 413, r.StatusCode)
}

// All that is wrong is told at once, each by its field, and nothing is stored.
func TestPurges_Faults(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for body, want := range map[string][]fault{
		``:                            {{"body", "is not a JSON object"}},
		`[]`:                          {{"body", "is not a JSON object"}},
		`{"project":"p"`:              {{"body", "is not a JSON object"}},
		small + `x`:                   {{"body", "data after"}},
		"{\"tags\":[\"\xff\"]}":       {{"body", "not valid UTF-8"}},
		`{"tags":["\ud83d"]}`:         {{"body", "half a character"}},
		`{"tags":["a"],"tags":["b"]}`: {{"tags", "stands twice in the body"}},
		`{}`:                          {{"project", "is missing"}, {"operation", "is missing: use"}, {"tags", "at least one"}},
		`{`:                           {{"body", "it is not a JSON object: it breaks off before its end"}},
		`{"project":"p","operation":"delete","tags":[]}`:                 {{"tags", "at least one"}},
		`{"project":"p","operation":"delete","tags":["a"],"Tags":["b"]}`: {{"Tags", "is unknown: use allow_all, deadline_seconds, "}},
		`{"project":"p","operation":"delete","tags":["a"],"id":"x","source":"y","requested_at":"z","v":1}`: {
			{"id", "is unknown"}, {"requested_at", "is unknown"}, {"source", "is unknown"}, {"v", "is unknown"},
		},
		`{"project":1,"operation":null,"tags":"a","src_images":[1],"allow_all":"yes","target":"","deadline_seconds":1.5,"priority":7,` +
			`"settle_ms":"2s","rebound_ms":-1,"not_before":"tomorrow","track":0}`: {
			{"allow_all", "true or false"},
			{"deadline_seconds", "whole number of seconds"},
			{"not_before", "2026-12-01T09:00:00Z"},
			{"operation", "should be text, or be left out"},
			{"priority", "should be text"},
			{"project", "should be text"},
			{"rebound_ms", "0 to 2592000000"},
			{"settle_ms", "whole number of milliseconds"},
			{"src_images", "texts only"},
			{"tags", "an array"},
			{"target", "is empty"},
			{"track", "true or false"},
		},
		`{"project":"p","operation":"delete","src_images":7}`:                                        {{"src_images", "an array"}},
		`{"project":"p","operation":"delete","tags":["a",null]}`:                                     {{"tags", "null at 1"}},
		`{"project":"p","operation":"purge","tags":["a,b","","*"],"priority":"high","target":"all"}`: {{"operation", `"purge" is unknown`}, {"target", "unknown"}, {"priority", "unknown"}, {"tags[0]", "comma"}, {"tags[1]", "is empty"}, {"tags[2]", "allow_all"}},
		`{"project":"p","operation":"invalidate","tags":["a"],"deadline_seconds":60}`:                {{"deadline_seconds", "takes no deadline"}},
		`{"project":"p","operation":"delete","tags":["a"],"deadline_seconds":31536001}`:              {{"deadline_seconds", "0 to 31536000"}},
		`{"project":"p","operation":"delete","tags":["a"],"settle_ms":9223372036854775807}`:          {{"settle_ms", "0 to 2592000000"}},
		`{"project":"p","operation":"delete","tags":["a"],"not_before":"2999-01-01T00:00:00Z"}`:      {{"not_before", "more than a year"}},
		`{"project":"p","operation":"delete","src_images":["/a"],"target":"preview"}`:                {{"target", "no target for source images"}},
	} {
		r := send(d, "POST", PurgesPath, body)
		assert.Equal(t, 400, r.StatusCode, body)
		p := r.problem(t)
		assert.Equal(t, "bad_request", p.Code)
		if assert.Len(t, p.Faults, len(want), "%s: %s", body, r.body) {
			for i, f := range p.Faults {
				assert.Equal(t, want[i].Field, f.Field, body)
				assert.Contains(t, f.Problem, want[i].Problem, body)
			}
			assert.Equal(t, "Invalid request: "+p.Faults[0].Field+": "+p.Faults[0].Problem, p.Message)
		}
	}
	r := send(d, "POST", PurgesPath, `{"project":"p","operation":"delete","tags":[`+strings.Repeat(`"",`, 1000)+`""]}`)
	assert.LessOrEqual(t, len(r.problem(t).Faults), tasks.MaxFaults+1, "bounded, whatever is sent")
	var unknown []string
	for i := range 1000 {
		unknown = append(unknown, fmt.Sprintf(`"x%d%s":1`, i, strings.Repeat("y", 1000)))
	}
	r = send(d, "POST", PurgesPath, `{`+strings.Join(unknown, ",")+`}`)
	assert.Equal(t, 400, r.StatusCode)
	assert.Less(t, len(r.body), 10_000, "bounded, whatever is sent")
	assert.Empty(t, d.taken())
}

func TestPurges_WhoMay(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, test := range []struct {
		authorization string
		status        int
	}{{"", 403}, {"Bearer nobody", 403}, {"Bearer " + blogSecret, 403}, {"Bearer " + shopSecret, 202}} {
		r := send(d, "POST", PurgesPath, small, "Authorization", test.authorization)
		assert.Equal(t, test.status, r.StatusCode, test.authorization)
		assert.Len(t, d.taken(), map[bool]int{true: 1}[test.status == 202])
	}
	assert.Equal(t, 405, send(d, "GET", PurgesPath, "").StatusCode)
	assert.Equal(t, 405, send(d, "DELETE", PurgesPath+"/x", "").StatusCode)
}

func TestPurges_RedisAway(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := listener.Addr().String()
	require.NoError(t, listener.Close())
	rdb := redis.NewClient(&redis.Options{Addr: gone, ContextTimeoutEnabled: true, MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	d := newDesk(t, withClient(t, rdb))
	for _, r := range []reply{
		send(d, "POST", PurgesPath, small),
		send(d, "POST", PurgesPath, small, "Idempotency-Key", "k"),
		send(d, "GET", PurgesPath+"/abc", ""),
	} {
		assert.Equal(t, 503, r.StatusCode)
		assert.Equal(t, "5", r.Header.Get("Retry-After"))
		assert.Equal(t, "service_unavailable", r.problem(t).Code)
		assert.NotContains(t, r.body, gone)
	}
}

func FuzzDecodePurge(f *testing.F) {
	for _, s := range []string{
		small, `{"tags":["a"],"x":1}`, `{"project":"p","operation":"delete","src_images":["/a"],"settle_ms":1,"not_before":"2026-12-01T09:00:00Z","deadline_seconds":0}`,
		`{"tags":[null]}`, `[`, `{"settle_ms":1e3}`,
	} {
		f.Add([]byte(s))
	}
	now := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		p, faults := decodePurge(body, now)
		for _, f := range faults {
			require.NotEmpty(t, f.Field)
			require.NotEmpty(t, f.Problem)
			require.Less(t, len(f.Field), 100)
		}
		require.LessOrEqual(t, len(faults), 2*tasks.MaxFaults+1)
		if len(faults) > 0 {
			return
		}
		require.NoError(t, p.Validate())
		p.ID = "x"
		payload, err := p.Encode()
		require.NoError(t, err)
		again, err := tasks.DecodePurge(payload)
		require.NoError(t, err, "%s", payload)
		require.Equal(t, p.Tags, again.Tags)
		require.Equal(t, p.SrcImages, again.SrcImages)
	})
}
