package deadletter

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

//go:embed script/*.lua
var sources embed.FS

var (
	keepScript    = redis.NewScript(source("keep"))
	recountScript = redis.NewScript(source("recount"))
)

// source is a script that is compiled in: a missing one is a fault of the build.
func source(name string) string {
	text, err := sources.ReadFile("script/" + name + ".lua")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// ErrFull says that there is no room for another delivery: it must be sent again
// later, for nothing that is kept already is given up for it.
var ErrFull = errors.New("no room for another delivery: replay or delete some of those that are kept, with `edgepurge dead`")

// Bounds of the deliveries that are kept. Those of a source and those that nothing
// proved genuine have room apart, so that neither a source that cannot be mapped nor
// a stranger takes it from others.
const (
	maxDeliveries = 5000 // of all sources; half of what asynq keeps, as with the worker's letters

	maxSourceLetters = 1000
	maxSourceBytes   = 64 << 20

	maxUnverifiedLetters = 250
	maxUnverifiedBytes   = 8 << 20
	// maxUnverifiedBody is how much is kept of the body of one that is not verified.
	maxUnverifiedBody = 32 << 10
)

// The counts of a bucket are two fields of one hash.
const (
	keptLetters = ":letters"
	keptBytes   = ":bytes"
)

// bucketOf names what shares a bound.
func bucketOf(source string, unverified bool) string {
	if unverified {
		return source + ":unverified"
	}
	return source
}

// Room says whether Keep would find room for a delivery, whose Header and Body need
// not be there: bytes are how long the body is. The error matches ErrFull if not.
// Nothing is kept free: Keep may be refused a moment later.
func (b *Box) Room(ctx context.Context, id string, d Delivery, bytes int) error {
	if d.Unverified {
		bytes = min(bytes, maxUnverifiedBody)
	}
	_, err := b.askForRoom(ctx, id, &d, bytes, false)
	return err
}

// reserve makes room for a delivery, or says that there is none. One that is known
// needs none.
func (b *Box) reserve(ctx context.Context, id string, d *Delivery) (known bool, err error) {
	size := len(d.Body)
	for name, values := range d.Header {
		for _, v := range values {
			size += len(name) + len(v)
		}
	}
	return b.askForRoom(ctx, id, d, size, true)
}

func (b *Box) askForRoom(ctx context.Context, id string, d *Delivery, size int, count bool) (known bool, err error) {
	letters, bytes := maxSourceLetters, maxSourceBytes
	if d.Unverified {
		letters, bytes = maxUnverifiedLetters, maxUnverifiedBytes
	}
	bucket := bucketOf(d.Source, d.Unverified)
	answer, err := keepScript.Run(ctx, b.rdb, []string{
		lanes.KeyKept(tasks.QueueDeliveries), queues.Key(tasks.QueueDeliveries, queues.Dead), queues.TaskKey(tasks.QueueDeliveries, id),
	}, bucket+keptLetters, bucket+keptBytes, size, letters, bytes, maxDeliveries, count).Text()
	switch {
	case err != nil:
		return false, fmt.Errorf("count the deliveries that are kept: %w", err)
	case answer == "full":
		return false, fmt.Errorf("%w: %d of all sources are kept, which is the most", ErrFull, maxDeliveries)
	case answer == "source_full" && d.Unverified:
		return false, fmt.Errorf("%w: of source %s and not verified, at most %d with %d MiB are kept", ErrFull, d.Source, letters, bytes>>20)
	case answer == "source_full":
		return false, fmt.Errorf("%w: of source %s at most %d with %d MiB are kept", ErrFull, d.Source, letters, bytes>>20)
	}
	return answer == "kept", nil
}
