package prodredis

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// The users of docs/redis.md.
var documented = map[string]redisacl.Rights{
	"edgepurge-producer":     redisacl.Producer,
	"edgepurge-producer-6.2": redisacl.OldProducer,
	"edgepurge-worker":       redisacl.Worker,
	"edgepurge-operator":     redisacl.Operator,
}

// rule is a rule of ACL SETUSER: a selector or a word.
var rule = regexp.MustCompile(`\([^)]*\)|\S+`)

var setUser = regexp.MustCompile(`(?m)^ACL SETUSER (\S+) (.+)$`)

// documentedLines are the ACL SETUSER lines of docs/redis.md, by user.
func documentedLines(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/redis.md")
	require.NoError(t, err)
	lines := map[string][]string{}
	for _, m := range setUser.FindAllStringSubmatch(string(text), -1) {
		lines[m[1]] = append(lines[m[1]], rule.FindAllString(m[2], -1)...)
	}
	return lines
}

func TestDocs_LinesAreTheRightsThatAreTested(t *testing.T) {
	t.Parallel()
	lines := documentedLines(t)
	assert.Equal(t, slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(lines)))
	for user, rights := range documented {
		want := slices.Concat([]string{"on", ">secret-of-" + strings.TrimPrefix(user, "edgepurge-"), "resetkeys", "resetchannels", "-@all"}, rights.Rules())
		assert.ElementsMatch(t, want, lines[user], "the line of %s should be:\nACL SETUSER %s %s", user, user, strings.Join(want, " "))
	}
}

// createUsers runs the lines of docs/redis.md.
func createUsers(t *testing.T, rdb redis.UniversalClient, more ...string) {
	t.Helper()
	for user, rules := range documentedLines(t) {
		args := []any{"acl", "setuser", user, "reset"}
		for _, r := range append(rules, more...) {
			args = append(args, r)
		}
		require.NoError(t, rdb.Do(t.Context(), args...).Err())
	}
}

// as is the URL with a documented user and password.
func as(t *testing.T, raw, role string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil { // a list of hosts
		return strings.Replace(raw, "://", "://edgepurge-"+role+":secret-of-"+role+"@", 1)
	}
	u.User = url.UserPassword("edgepurge-"+role, "secret-of-"+role)
	return u.String()
}

// denials lists what the server refused for want of rights, by its own log.
func denials(t *testing.T, rdb redis.UniversalClient) []string {
	t.Helper()
	entries, err := rdb.Do(t.Context(), "acl", "log", "128").Slice()
	require.NoError(t, err)
	var list []string
	for _, e := range entries {
		text := fmt.Sprint(e)
		if strings.Contains(text, "object:client|") || strings.Contains(text, "object client|") {
			continue // go-redis does without
		}
		list = append(list, text)
	}
	return list
}

func TestACL_LeastRightsSuffice(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Client(t)
	createUsers(t, admin)
	f := newFleet(t, as(t, s.URL(), "worker"), enqueue.Config{Redis: as(t, s.URL(), "producer")}, 2, "acme", "beta")
	f.ask(1000)
	f.drain(admin)
	assert.Empty(t, denials(t, admin))

	everyVerdict(t, f)
	f.stop()
	assert.Empty(t, denials(t, admin))
	operate(t, as(t, s.URL(), "operator"))
	assert.Empty(t, denials(t, admin))
}

// everyVerdict makes retries, splits, holds and dead letters.
func everyVerdict(t *testing.T, f *fleet) {
	t.Helper()
	require.NoError(t, f.api.SetFaults(emulator.Faults{
		Status: map[int]float64{503: 0.2, 429: 0.1}, PoisonTags: []string{"tag-7", "tag-17", "tag-27", "tag-37"},
		Projects: map[string]int{project(f.names[1]): 404},
	}))
	f.ask(100)
	missing := ""
	if !within(patience, func() bool {
		log := f.logs.String()
		missing = ""
		for _, verdict := range []string{"done", "wait", "retry", "split", "dead", "hold_project"} {
			if !strings.Contains(log, `"verdict":"`+verdict+`"`) {
				missing = verdict
			}
		}
		return missing == "" && strings.Contains(log, `"dead_letter":true`)
	}) {
		t.Fatalf("no verdict %s (or no dead letter)", missing)
	}
}

// operate does what the command line does, by the same calls.
func operate(t *testing.T, url string) {
	t.Helper()
	ctx := t.Context()
	rdb, err := redisurl.Open(url, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	producer, err := enqueue.New(enqueue.Config{Client: rdb})
	require.NoError(t, err)
	receipt, err := producer.Purge(ctx, tasks.Purge{Project: project("acme"), Operation: tasks.Delete, Tags: []string{"by-hand"}, Track: true})
	require.NoError(t, err)
	_, err = producer.Status(ctx, receipt.ID)
	require.NoError(t, err)

	l := lanes.New(rdb)
	accounts, err := l.Accounts(ctx)
	require.NoError(t, err)
	assert.NotEmpty(t, accounts)
	held := 0
	for _, a := range []string{"acme", "beta"} {
		status, err := l.Status(ctx, a, time.Minute)
		require.NoError(t, err)
		for _, h := range status.Holds {
			held++
			released, err := l.Release(ctx, a, h.Scope)
			require.NoError(t, err)
			assert.True(t, released)
		}
	}
	assert.NotZero(t, held)
	_, err = overview.ReadQueues(ctx, rdb)
	require.NoError(t, err)
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	_, err = inspector.Servers()
	require.NoError(t, err)

	box := deadletter.New(rdb, producer)
	letters, err := box.List(ctx, deadletter.Filter{})
	require.NoError(t, err)
	require.NotEmpty(t, letters)
	_, err = box.Letter(ctx, letters[0].Key)
	require.NoError(t, err)
	_, err = box.Replay(ctx, letters[0].Key)
	require.NoError(t, err)
	if len(letters) > 2 {
		require.NoError(t, box.Delete(ctx, letters[1].Key))
		require.NoError(t, inspector.RunTask(letters[2].Queue, letters[2].ID))
	}
	require.NoError(t, rdb.Info(ctx).Err())
}

// Whatever right is taken away, the message says which one.
func TestACL_AMissingRightIsNamed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Client(t)
	grant := func(rules []string) string {
		args := []any{"acl", "setuser", "edgepurge-worker", "reset", "on", ">secret-of-worker"}
		for _, r := range rules {
			args = append(args, r)
		}
		require.NoError(t, admin.Do(t.Context(), args...).Err())
		return as(t, s.URL(), "worker")
	}
	without := func(rules []string, right string) []string {
		return slices.DeleteFunc(slices.Clone(rules), func(r string) bool { return r == right })
	}

	producer := redisacl.Producer.With(redisacl.Replicas)
	needed := map[string]string{ // by which name the right is told, if not its own
		"+hello":   "-", // go-redis falls back to AUTH
		"+ping":    "-", // Client.Ping only
		"+wait":    "'wait'",
		"+publish": "-", "&edgepurge:queued": "-", // a hint only
	}
	for _, right := range producer.Rules() {
		require.NoError(t, admin.ScriptFlush(t.Context()).Err())
		require.NoError(t, admin.Del(t.Context(), "edgepurge:receipt:r", "asynq:{edgepurge-intake}:t:r").Err())
		client, err := enqueue.New(enqueue.Config{Redis: grant(without(producer.Rules(), right)), WaitReplicas: 1, WaitTimeout: time.Millisecond})
		require.NoError(t, err)
		_, err = client.Purge(t.Context(), tasks.Purge{ID: "r", Project: "p", Operation: tasks.Delete, Tags: []string{"a"}, Track: true})
		require.NoError(t, client.Close())
		name := needed[right]
		switch {
		case name == "-":
			name = "replicas asked for have it" // it was stored
		case strings.HasPrefix(right, "(+eval "):
			name = "'evalsha'"
		case strings.HasPrefix(right, "(+sadd "):
			name = "'sadd'"
		case name == "":
			name = "(the Redis user lacks " + right + ")"
		}
		require.ErrorContains(t, err, name, "without %s", right)
	}

	for _, right := range []string{"+zadd", "+evalsha", "~edgepurge:*", "&asynq:cancel"} {
		f := newFleet(t, grant(without(redisacl.Worker.Rules(), right)), enqueue.Config{Redis: s.URL()}, 1, "acme")
		assert.True(t, within(patience, func() bool { return strings.Contains(f.logs.String(), `"missing":["`+right+`"]`) }),
			"without %s:\n%s", right, f.logs.tail())
		f.stop()
	}
}

// A script that a colleague changes may need a right more.
func TestACL_WorkerMayRunWhatItsScriptsRun(t *testing.T) {
	t.Parallel()
	const folder = "../../worker/lanes/script"
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	called := regexp.MustCompile(`redis\.p?call\(\s*'(\w+)'`)
	for _, file := range files {
		text, err := os.ReadFile(folder + "/" + file.Name())
		require.NoError(t, err)
		for _, m := range called.FindAllStringSubmatch(string(text), -1) {
			assert.Contains(t, redisacl.Worker.Commands, strings.ToLower(m[1]),
				"%s runs it: add it to redisacl.Worker and to docs/redis.md", file.Name())
		}
	}
}

// attacks are what a producer that was taken over could try on the requests of
// others: lose, read, rewrite or hold them back.
var attacks = []string{
	"DEL asynq:{edgepurge-intake}:pending",
	"PEXPIRE asynq:{edgepurge-intake}:pending 1",
	"LPOP asynq:{edgepurge-intake}:pending",
	"LRANGE asynq:{edgepurge-intake}:pending 0 -1",
	"SADD asynq:{edgepurge-intake}:pending x",
	"SREM asynq:queues edgepurge-intake",
	"PEXPIRE asynq:queues 1",
	"HSET asynq:{edgepurge-intake}:paused x 1",
	"SET asynq:{edgepurge-intake}:paused 1",
	"SADD asynq:{edgepurge-intake}:paused 1",
	"LPUSH asynq:{edgepurge-intake}:paused 1",
	"LPUSH asynq:{edgepurge-intake}:active x",
	"HGETALL asynq:{edgepurge-intake}:t:TASK",
	"HMGET asynq:{edgepurge-intake}:t:TASK msg",
	"HGET asynq:{edgepurge-intake}:t:TASK msg",
	"HDEL asynq:{edgepurge-intake}:t:TASK msg",
	"PEXPIRE asynq:{edgepurge-intake}:t:TASK 1",
	"DEL asynq:{edgepurge-intake}:t:TASK",
	"HSET asynq:{edgepurge-calls}:t:x msg y",
	"LPUSH asynq:{edgepurge-calls}:pending x",
	"HSET edgepurge:{acme}:hold account x",
	"HGETALL edgepurge:{acme}:lanes",
	"SCAN 0", "KEYS *", "FLUSHALL", "CONFIG GET dir", "SCRIPT FLUSH", "SUBSCRIBE edgepurge:queued",
}

// Whoever has the documented line of a producer can store requests and follow
// receipts, and can neither lose nor read nor hold back what others asked for, alone
// or in a script. (Redis 6.2 has no selectors: OldProducer cannot promise that.)
func TestACL_ProducerCannotHarm(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Client(t)
	createUsers(t, admin)
	client, err := enqueue.New(enqueue.Config{Redis: as(t, s.URL(), "producer"), MaxQueued: 0})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	for _, priority := range []tasks.Priority{tasks.Normal, tasks.Urgent} {
		_, err = client.Purge(t.Context(), tasks.Purge{ID: "TASK" + string(priority), Project: "p", Operation: tasks.Delete, Tags: []string{"a"}, Priority: priority, Track: true})
		require.NoError(t, err)
	}
	state := func() []string {
		var all []string
		for _, key := range admin.Keys(t.Context(), "*").Val() {
			all = append(all, key+": "+admin.Dump(t.Context(), key).Val())
		}
		slices.Sort(all)
		return all
	}
	before := state()
	id := strings.TrimPrefix(admin.Keys(t.Context(), "asynq:{edgepurge-intake}:t:*").Val()[0], "asynq:{edgepurge-intake}:t:")

	rdb, err := redisurl.Open(as(t, s.URL(), "producer"), 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	for _, attack := range attacks {
		var args []any
		for word := range strings.FieldsSeq(strings.ReplaceAll(attack, "TASK", id)) {
			args = append(args, word)
		}
		require.ErrorContains(t, rdb.Do(t.Context(), args...).Err(), "NOPERM", attack)
		script := "return redis.call(unpack(ARGV))"
		require.Error(t, rdb.Do(t.Context(), append([]any{"EVAL", script, 0}, args...)...).Err(), "in a script: %s", attack)
	}
	assert.Equal(t, before, state())
	_, err = client.Status(t.Context(), "TASK"+string(tasks.Normal))
	require.NoError(t, err)
}
