package deadletter_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

const deliveryIndex, deliveriesKept = "edgepurge:{edgepurge-deliveries}:letters", "edgepurge:{edgepurge-deliveries}:kept"

// traffic adds up what Redis sends.
type traffic struct{ bytes int }

func (*traffic) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *traffic) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if reply, ok := cmd.(*redis.Cmd); ok {
			c.bytes += len(fmt.Sprint(reply.Val()))
		}
		return err
	}
}

func (*traffic) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// keepOld stores a delivery as a gateway before 0.2 did, which knew neither bounds nor an index.
func (b *bench) keepOld(t *testing.T, id, source string, body int) {
	t.Helper()
	payload := fmt.Sprintf(`{"v":1,"source":%q,"received_at":"2026-11-22T05:00:00Z","reason":"no tags","header":{"X":["1"]},"body":%q}`,
		source, strings.Repeat("b", body))
	_, err := b.client.Enqueue(asynq.NewTask(tasks.TypeDelivery, []byte(payload)), asynq.Queue(tasks.QueueDeliveries), asynq.TaskID(id))
	require.NoError(t, err)
	require.NoError(t, b.inspector.ArchiveTask(tasks.QueueDeliveries, id))
}

// Letters are listed without their payloads, whoever buried them.
func TestList_ReadsNoPayloads(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b, sent := newBench(t, rdb), &traffic{}
		for i := range 30 {
			b.keepOld(t, fmt.Sprint("old", i), "blog", 1<<20)
		}
		rdb.AddHook(sent)
		for range 2 {
			letters, err := b.box.List(t.Context(), deadletter.Filter{})
			require.NoError(t, err)
			require.Len(t, letters, 30)
			s := letters[0]
			assert.Greater(t, s.Bytes, 1<<20)
			s.Bytes = 0
			assert.Equal(t, deadletter.Summary{
				Key: deadletter.Key{Queue: tasks.QueueDeliveries, ID: "old0"}, Type: tasks.TypeDelivery, Reason: "unmappable", Message: "no tags",
				Died: time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC), Attempts: 1, Source: "blog",
			}, s)
			assert.Less(t, sent.bytes, 1<<20, "30 MiB lie there")
		}
		kept := rdb.HGetAll(t.Context(), deliveriesKept).Val()
		assert.Equal(t, "30", kept["blog:letters"])
		whole, err := b.box.Letter(t.Context(), deadletter.Key{Queue: tasks.QueueDeliveries, ID: "old7"})
		require.NoError(t, err)
		assert.Len(t, whole.Delivery.Body, 1<<20)
	})
}

// The index follows the archive: what is new, what is gone, what died again.
func TestList_FollowsTheArchive(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		list := func() (all []string) {
			letters, err := b.box.List(t.Context(), deadletter.Filter{})
			require.NoError(t, err)
			for _, l := range letters {
				all = append(all, fmt.Sprintf("%s %s %s %d %s", l.ID, l.Reason, l.Project, l.Items, strings.Join(l.First, ",")))
			}
			slices.Sort(all)
			return all
		}
		many := tasks.Purge{ID: "02B", Project: "prj_b", Operation: tasks.Delete}
		for i := range 4000 {
			many.Tags = append(many.Tags, fmt.Sprintf("tag-%04d", i))
		}
		b.buryCall(t, deadCall("01A"), "unauthorized: no")
		b.buryRequest(t, many, "no_account: none")
		b.keepOld(t, "03C", "blog", 100)
		want := []string{"01A unauthorized prj_abc 2 a,b", "02B no_account prj_b 4000 tag-0000,tag-0001,tag-0002", "03C unmappable  0 "}
		assert.Equal(t, want, list())
		assert.Equal(t, want, list(), "from the index")

		// It died again, for another reason, by a worker that knows no index.
		require.NoError(t, b.inspector.DeleteTask(tasks.QueueCalls, "01A"))
		b.buryCall(t, deadCall("01A"), "refused: no")
		require.NoError(t, rdb.ZAdd(t.Context(), "asynq:{edgepurge-calls}:archived", redis.Z{Score: 7, Member: "01A"}).Err())
		require.NoError(t, b.inspector.DeleteTask(tasks.QueueDeliveries, "03C"))
		assert.Equal(t, []string{"01A refused prj_abc 2 a,b", want[1]}, list())
		assert.Empty(t, rdb.HKeys(t.Context(), deliveryIndex).Val(), "nothing is left of what is gone")
		assert.Empty(t, rdb.HGetAll(t.Context(), deliveriesKept).Val())

		require.NoError(t, rdb.HSet(t.Context(), "edgepurge:{edgepurge-calls}:letters", "01A", "no JSON").Err())
		assert.Len(t, list(), 2)
		require.NoError(t, rdb.Del(t.Context(), "edgepurge:{edgepurge-calls}:letters").Err())
		assert.Len(t, list(), 2)
	})
}

// A letter of which nothing is left, or whose data is damaged, costs itself alone.
func TestList_BrokenLetters(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		b.buryCall(t, deadCall("01A"), "refused: no")
		require.NoError(t, rdb.ZAdd(t.Context(), "asynq:{edgepurge-calls}:archived", redis.Z{Score: 1, Member: "gone"}, redis.Z{Score: 2, Member: "bad"}).Err())
		require.NoError(t, rdb.HSet(t.Context(), "asynq:{edgepurge-calls}:t:bad", "msg", strings.Repeat("\xff", 100_000), "state", "archived").Err())
		letters, err := b.box.List(t.Context(), deadletter.Filter{})
		require.NoError(t, err)
		require.Len(t, letters, 3)
		for _, l := range letters {
			assert.Equal(t, l.ID != "01A", l.Unreadable, l.ID)
		}
		assert.Contains(t, letters[slices.IndexFunc(letters, func(l deadletter.Summary) bool { return l.ID == "gone" })].Message, "nothing is left of this task")
		for _, id := range []string{"gone", "bad"} {
			require.NoError(t, b.box.Delete(t.Context(), deadletter.Key{Queue: tasks.QueueCalls, ID: id}))
		}
		require.NoError(t, b.box.Delete(t.Context(), deadletter.Key{Queue: tasks.QueueCalls, ID: "01A"}))
		letters, err = b.box.List(t.Context(), deadletter.Filter{})
		require.NoError(t, err)
		assert.Empty(t, letters)
	})
}

// Who may only read can list as well.
func TestList_MayOnlyRead(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Client(t)
	b := newBench(t, admin)
	b.keepOld(t, "d", "blog", 100_000)
	require.NoError(t, admin.Do(t.Context(), "acl", "setuser", "reader", "on", ">pw", "~*", "+@read", "+@connection", "+@scripting").Err())
	options, err := redis.ParseURL(s.URL())
	require.NoError(t, err)
	options.Username, options.Password = "reader", "pw"
	reader := redis.NewClient(options)
	t.Cleanup(func() { _ = reader.Close() })
	letters, err := deadletter.New(reader, nil).List(t.Context(), deadletter.Filter{})
	require.NoError(t, err)
	assert.Len(t, letters, 1)
	for i := range 9 {
		b.keepOld(t, fmt.Sprint("more", i), "blog", 1<<20)
	}
	letters, unread, err := deadletter.New(reader, nil).Look(t.Context(), deadletter.Filter{}, 0)
	require.NoError(t, err)
	assert.Len(t, letters, 10, "a next look would begin anew")
	assert.Zero(t, unread)
	assert.Zero(t, admin.Exists(t.Context(), deliveryIndex).Val())
}

// Who waits is answered in time; what is left unread comes with the next looks. No
// room is given back meanwhile that is not free.
func TestLook_IsBounded(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		const letters = 12 // of which one exchange with Redis reads five
		for i := range letters {
			b.keepOld(t, fmt.Sprint("old", i), "blog", 1<<20)
		}
		require.NoError(t, rdb.HSet(t.Context(), deliveriesKept, "blog:letters", 1000).Err())
		read := 0
		for look := 1; ; look++ {
			all, unread, err := b.box.Look(t.Context(), deadletter.Filter{}, 0)
			require.NoError(t, err)
			require.Greater(t, len(all), read, "each look goes on")
			read = len(all)
			require.Equal(t, letters, read+unread)
			if unread == 0 {
				assert.Equal(t, 3, look)
				break
			}
			assert.Equal(t, "1000", rdb.HGet(t.Context(), deliveriesKept, "blog:letters").Val())
		}
		assert.Equal(t, "12", rdb.HGet(t.Context(), deliveriesKept, "blog:letters").Val())
		all, unread, err := b.box.Look(t.Context(), deadletter.Filter{IDs: []string{"old3"}}, 0)
		require.NoError(t, err)
		assert.Zero(t, unread)
		assert.Len(t, all, 1)
	})
}

// A source that floods, and a stranger, take no room from others.
func TestKeep_BoundsEachSource(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		keep := func(id, source string, size int, unverified bool) error {
			return b.box.Keep(t.Context(), id, deadletter.Delivery{
				Source: source, ReceivedAt: time.Now(), Reason: "no tags", Unverified: unverified,
				Header: http.Header{"X-A": {"1"}}, Body: []byte(strings.Repeat("b", size)),
			})
		}
		const large = 16<<20 - 100
		for i := range 4 {
			require.NoError(t, keep(fmt.Sprint("flood", i), "flood", large, false))
		}
		err := keep("flood4", "flood", large, false)
		require.ErrorIs(t, err, deadletter.ErrFull)
		require.ErrorContains(t, err, "of source flood at most 1000 with 64 MiB are kept")
		require.NoError(t, keep("flood0", "flood", large, false), "it is kept already")
		room := func(id, source string, unverified bool) error {
			return b.box.Room(t.Context(), id, deadletter.Delivery{Source: source, Unverified: unverified}, large)
		}
		require.ErrorIs(t, room("flood4", "flood", false), deadletter.ErrFull)
		require.NoError(t, room("flood0", "flood", false), "it is kept already")
		require.NoError(t, room("other", "other", false))
		require.NoError(t, room("stranger", "flood", true), "of a stranger's body little is kept")
		assert.Equal(t, "4", rdb.HGet(t.Context(), deliveriesKept, "flood:letters").Val())
		assert.False(t, rdb.HExists(t.Context(), deliveriesKept, "other:letters").Val(), "to ask takes no room")
		require.NoError(t, keep("other", "other", large, false))
		require.NoError(t, keep("stranger", "flood", large, true), "a stranger has room of its own")
		l, err := b.box.Letter(t.Context(), deadletter.Key{Queue: tasks.QueueDeliveries, ID: "stranger"})
		require.NoError(t, err)
		assert.Len(t, l.Delivery.Body, 32<<10)
		assert.Equal(t, large, l.Delivery.Clipped)
		assert.True(t, l.Delivery.Unverified)
		b.box.Remap = func(context.Context, deadletter.Delivery) ([]tasks.Purge, error) { return nil, nil }
		_, err = b.box.Replay(t.Context(), l.Key)
		require.ErrorContains(t, err, "only 32768 bytes of its")

		require.NoError(t, rdb.HSet(t.Context(), deliveriesKept, "flood:unverified:letters", 250, "other:letters", 1000).Err())
		require.ErrorContains(t, keep("stranger2", "flood", 1, true), "not verified, at most 250")
		require.ErrorIs(t, keep("other2", "other", 1, false), deadletter.ErrFull)

		// Whoever deletes letters, by whatever way: the next list gives the room back.
		require.NoError(t, b.inspector.DeleteTask(tasks.QueueDeliveries, "flood0"))
		_, err = b.box.List(t.Context(), deadletter.Filter{})
		require.NoError(t, err)
		require.NoError(t, keep("flood4", "flood", large-1000, false))
		require.NoError(t, keep("other2", "other", 1, false))
		require.NoError(t, keep("stranger2", "flood", 1, true))
	})
}
