package lanes

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	require.TestingT
	Helper()
}

// rig is an account in a Redis of its own, with a pace that refuses nothing.
// Tests tighten what they are about.
type rig struct {
	*Lanes
	t     tb
	pace  Pace
	clock clock // nil: time passes by itself
	ids   int
}

func newRig(t tb, rdb redis.UniversalClient) *rig {
	return &rig{Lanes: New(rdb), t: t, pace: Pace{
		Account: "acme", Per: time.Minute, InFlight: 100, Lease: time.Minute, MaxItems: 16, Full: 16,
	}}
}

// each runs f on miniredis and on a private redis-server, both by the real clock.
func each(t *testing.T, f func(r *rig)) {
	t.Helper()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) { f(newRig(t, rdb)) })
}

// epoch is when simulated time begins: a whole second.
var epoch = time.UnixMilli(1_800_000_000_000)

// simulated returns a rig on a miniredis whose clock only pass moves, and whose
// TIME and expiries follow it.
func simulated(t *testing.T) *rig {
	t.Helper()
	rdb, m := redistest.Mini(t)
	m.SetTime(epoch)
	r := newRig(t, rdb)
	r.clock = m
	return r
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	if r.clock == nil {
		time.Sleep(d)
		return
	}
	r.clock.SetTime(r.time().Add(d))
}

func (r *rig) time() time.Time {
	now, err := r.now(r.ctx())
	require.NoError(r.t, err)
	return now
}

func (r *rig) id(prefix string) string {
	r.ids++
	return fmt.Sprintf("%s%d", prefix, r.ids)
}

func laneOf(p tasks.Priority) tasks.Lane {
	return tasks.Lane{Project: "prj", Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: p}
}

var urgent, normal, bulk = laneOf(tasks.Urgent), laneOf(tasks.Normal), laneOf(tasks.Bulk)

// inProject is the normal lane of another project.
func inProject(project string) tasks.Lane {
	l := normal
	l.Project = project
	return l
}

// deadlineOf is a normal lane of the project for itself: each deadline has one.
func deadlineOf(seconds int) tasks.Lane {
	l := normal
	l.DeadlineSeconds = seconds
	return l
}

func numbered(n int) []string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf("post-%04d", i)
	}
	return items
}

// ask absorbs a request as it stands, under a new name if it has none.
func (r *rig) ask(a Absorption) Absorbed {
	r.t.Helper()
	if a.Request == "" {
		a.Request = r.id("request-")
	}
	got, err := r.Absorb(r.ctx(), r.pace, a)
	require.NoError(r.t, err)
	return got
}

func (r *rig) absorb(lane tasks.Lane, items ...string) Absorbed {
	r.t.Helper()
	return r.ask(Absorption{Lane: lane, Items: items})
}

func (r *rig) tryClaim(lane tasks.Lane) Claim {
	r.t.Helper()
	got, err := r.Claim(r.ctx(), r.pace, lane, r.id("batch-"))
	require.NoError(r.t, err)
	return got
}

// claim takes a batch that must be there.
func (r *rig) claim(lane tasks.Lane) Batch {
	r.t.Helper()
	got := r.tryClaim(lane)
	require.Empty(r.t, got.Refused)
	require.NotNil(r.t, got.Batch)
	return *got.Batch
}

// refused wants a claim to be refused for a reason, and returns for how long.
func (r *rig) refused(lane tasks.Lane, why Refusal) time.Duration {
	r.t.Helper()
	got := r.tryClaim(lane)
	require.Nil(r.t, got.Batch)
	require.Equal(r.t, why, got.Refused)
	return got.Wait
}

func (r *rig) finish(b Batch, succeeded bool) bool {
	r.t.Helper()
	lifted, err := r.Finish(r.ctx(), r.pace.Account, b, 1, succeeded)
	require.NoError(r.t, err)
	return lifted
}

func (r *rig) restore(b Batch, onlyExpired bool) bool {
	r.t.Helper()
	done, err := r.Restore(r.ctx(), r.pace, b, onlyExpired)
	require.NoError(r.t, err)
	return done
}

func (r *rig) acquire(b Batch, attempt int, half bool) Attempt {
	r.t.Helper()
	got, err := r.Acquire(r.ctx(), r.pace, b, attempt, half)
	require.NoError(r.t, err)
	return got
}

func (r *rig) expired() []Batch {
	r.t.Helper()
	got, err := r.Expired(r.ctx(), r.pace.Account)
	require.NoError(r.t, err)
	return got
}

func (r *rig) paceOf(tasks.Lane) Pace { return r.pace }

func (r *rig) peek() View {
	r.t.Helper()
	view, err := r.Peek(r.ctx(), r.pace.Account)
	require.NoError(r.t, err)
	return view
}

func (r *rig) status() Status {
	r.t.Helper()
	s, err := r.Status(r.ctx(), r.pace.Account, r.pace.Per)
	require.NoError(r.t, err)
	return s
}

// pending is what waits in a lane, with due times in milliseconds.
func (r *rig) pending(lane tasks.Lane) map[string]int64 {
	r.t.Helper()
	all, err := r.rdb.ZRangeWithScores(r.ctx(), keysOf(r.pace.Account).pending(lane), 0, -1).Result()
	require.NoError(r.t, err)
	due := map[string]int64{}
	for _, z := range all {
		due[z.Member.(string)] = int64(z.Score)
	}
	return due
}

func (r *rig) items(lane tasks.Lane) []string {
	r.t.Helper()
	all, err := r.rdb.ZRange(r.ctx(), keysOf(r.pace.Account).pending(lane), 0, -1).Result()
	require.NoError(r.t, err)
	return all
}

// again is the later purges of a lane's items, as written.
func (r *rig) again(lane tasks.Lane) map[string]string {
	r.t.Helper()
	all, err := r.rdb.HGetAll(r.ctx(), keysOf(r.pace.Account).again(lane)).Result()
	require.NoError(r.t, err)
	return all
}

func (r *rig) ctx() context.Context { return context.Background() }
