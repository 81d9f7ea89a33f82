package queues

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Light is a client on which asynq v0.26's inspector looks without what it costs:
// its lists come with payloads of at most ListedPayload bytes, and the memory of a
// queue, for which managed Redis refuses the command, is 0. GetTaskInfo reads a task
// whole. Nothing else differs.
type Light struct{ redis.UniversalClient }

// ListedPayload is how many bytes of a payload a Light lists. A page of tasks of a
// megabyte each would otherwise pass through Redis, and through here several times.
const ListedPayload = 16 << 10

// The scripts of asynq that a Light replaces, by the hashes of their texts. A test
// tells when asynq changes them.
const (
	asynqMemoryUsage  = "0c80fc1868e3aae205155ae2017ce995a3a7cec0"
	asynqListMessages = "e33b162cbcaa58a573d0f5a5067b4c3e2246e079"
	asynqListEntries  = "8ce4326dbba042f10ec098fa779168e0a9e8c6c8"
)

// EvalSha implements redis.Scripter.
func (l Light) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	switch sha {
	case asynqMemoryUsage:
		none := redis.NewCmd(ctx)
		none.SetVal(int64(0))
		return none
	case asynqListMessages:
		return messagesScript.Run(ctx, l.UniversalClient, keys, append(args, ListedPayload)...)
	case asynqListEntries:
		return entriesScript.Run(ctx, l.UniversalClient, keys, append(args, ListedPayload)...)
	}
	return l.UniversalClient.EvalSha(ctx, sha, keys, args...)
}
