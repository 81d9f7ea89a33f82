package deadletter

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/hibiken/asynq"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/tasks"
)

// Unmappable is the reason of the letters that hold a delivery.
const Unmappable = "unmappable"

// ErrFull says that there is no room for another delivery: asynq would begin to
// delete the oldest silently.
var ErrFull = errors.New("too many deliveries are kept already: replay or delete some with `edgepurge dead`")

// maxDeliveries is half of what asynq keeps, as with the worker's letters.
const maxDeliveries = 5000

// Delivery is a webhook that could not be mapped. It holds no secret: who keeps
// it has taken them out.
type Delivery struct {
	Source     string
	ReceivedAt time.Time
	// Reason says what could not be mapped.
	Reason string
	Header http.Header
	Body   []byte
}

// wireDelivery keeps a body readable where it is text, as it mostly is.
type wireDelivery struct {
	V          int         `json:"v"`
	Source     string      `json:"source"`
	ReceivedAt time.Time   `json:"received_at"`
	Reason     string      `json:"reason"`
	Header     http.Header `json:"header,omitempty"`
	Body       string      `json:"body,omitempty"`
	BodyBase64 string      `json:"body_base64,omitempty"`
}

func (d Delivery) encode() ([]byte, error) {
	w := wireDelivery{V: 1, Source: d.Source, ReceivedAt: d.ReceivedAt.UTC(), Reason: d.Reason, Header: d.Header}
	if utf8.Valid(d.Body) {
		w.Body = string(d.Body)
	} else {
		w.BodyBase64 = base64.StdEncoding.EncodeToString(d.Body)
	}
	return json.Marshal(w)
}

func decodeDelivery(payload []byte) (Delivery, error) {
	var w wireDelivery
	if err := json.Unmarshal(payload, &w); err != nil {
		return Delivery{}, fmt.Errorf("%w: %w", tasks.ErrInvalid, err)
	}
	if w.V != 1 {
		return Delivery{}, fmt.Errorf("%w %d of a delivery: this edgepurge reads 1", tasks.ErrVersion, w.V)
	}
	body := []byte(w.Body)
	if w.BodyBase64 != "" {
		var err error
		if body, err = base64.StdEncoding.DecodeString(w.BodyBase64); err != nil {
			return Delivery{}, fmt.Errorf("%w: body_base64: %w", tasks.ErrInvalid, err)
		}
	}
	return Delivery{Source: w.Source, ReceivedAt: w.ReceivedAt, Reason: w.Reason, Header: w.Header, Body: body}, nil
}

// Keep keeps a delivery as a dead letter. One that is kept under this id already
// stays as it is. The error matches ErrFull if there is no room.
//
// asynq archives only what was enqueued before; a letter that a crash leaves in
// between waits in a queue that nobody serves, until Tidy or another Keep.
func (b *Box) Keep(ctx context.Context, id string, d Delivery) error {
	payload, err := d.encode()
	if err != nil {
		return fmt.Errorf("encode a delivery: %w", err)
	}
	kept, err := b.rdb.ZCard(ctx, archivedKey(tasks.QueueDeliveries)).Result()
	if err != nil {
		return fmt.Errorf("count the deliveries kept: %w", err)
	}
	if kept >= maxDeliveries {
		return ErrFull
	}
	if err := queues.Register(ctx, b.rdb); err != nil {
		return fmt.Errorf("keep delivery %s: %w", id, err)
	}
	_, err = b.tasks.EnqueueContext(ctx, asynq.NewTask(tasks.TypeDelivery, payload),
		asynq.Queue(tasks.QueueDeliveries), asynq.TaskID(id), asynq.MaxRetry(1))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("keep delivery %s: %w", id, err)
	}
	if err := b.inspector.ArchiveTask(tasks.QueueDeliveries, id); err != nil {
		info, look := b.inspector.GetTaskInfo(tasks.QueueDeliveries, id)
		if errors.Is(look, asynq.ErrTaskNotFound) || look == nil && info.State == asynq.TaskStateArchived {
			return nil // deleted meanwhile, or archived before
		}
		return fmt.Errorf("archive delivery %s: %w", id, err)
	}
	return nil
}

// Tidy archives the deliveries that a crash left half kept, and returns how many.
func (b *Box) Tidy(ctx context.Context) (int, error) {
	if err := queues.Register(ctx, b.rdb); err != nil {
		return 0, err
	}
	n, err := b.inspector.ArchiveAllPendingTasks(tasks.QueueDeliveries)
	if err != nil {
		return 0, fmt.Errorf("archive deliveries: %w", err)
	}
	return n, nil
}

// archivedKey is where asynq v0.26 keeps the archive of a queue.
func archivedKey(queue string) string { return "asynq:{" + queue + "}:archived" }
