package deadletter

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hibiken/asynq"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/tasks"
)

// Unmappable is the reason of the letters that hold a delivery.
const Unmappable = "unmappable"

// Delivery is a webhook that could not be mapped. It holds no secret: who keeps
// it has taken them out.
type Delivery struct {
	Source     string
	ReceivedAt time.Time
	// Reason says what could not be mapped.
	Reason string
	Header http.Header
	Body   []byte
	// Unverified is set if nothing proved it genuine: of its body Keep keeps no more
	// than 32 KiB.
	Unverified bool
	// Clipped is how many bytes the body had if not all of it was kept; 0: it was.
	Clipped int
}

// wireDelivery keeps a body readable where it is text, as it mostly is.
type wireDelivery struct {
	V          int         `json:"v"`
	Source     string      `json:"source"`
	ReceivedAt time.Time   `json:"received_at"`
	Reason     string      `json:"reason"`
	Unverified bool        `json:"unverified,omitempty"`
	Clipped    int         `json:"body_bytes,omitempty"` // of a body that was clipped
	Header     http.Header `json:"header,omitempty"`
	Body       string      `json:"body,omitempty"`
	BodyBase64 string      `json:"body_base64,omitempty"`
	// Body comes last, so that the beginning of a large delivery says what it is.
}

func (d Delivery) encode() ([]byte, error) {
	w := wireDelivery{V: 1, Source: d.Source, ReceivedAt: d.ReceivedAt.UTC(), Reason: d.Reason, Unverified: d.Unverified, Clipped: d.Clipped, Header: d.Header}
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
	return Delivery{Source: w.Source, ReceivedAt: w.ReceivedAt, Reason: w.Reason, Unverified: w.Unverified, Clipped: w.Clipped, Header: w.Header, Body: body}, nil
}

// maxReason bounds what is kept of why a delivery cannot be mapped.
const maxReason = 2 << 10

// Keep keeps a delivery as a dead letter. One that is kept under this id already
// stays as it is. The error matches ErrFull if there is no room.
//
// asynq archives only what was enqueued before; a letter that a crash leaves in
// between waits in a queue that nobody serves, until Tidy or another Keep.
func (b *Box) Keep(ctx context.Context, id string, d Delivery) error {
	d.Reason = clip(d.Reason, maxReason)
	if n := len(d.Body); d.Unverified && n > maxUnverifiedBody {
		d.Body, d.Clipped = []byte(strings.ToValidUTF8(string(d.Body[:maxUnverifiedBody]), "")), n
	}
	// Before it is encoded, for that is what a flood would cost.
	known, err := b.reserve(ctx, id, &d)
	if err != nil {
		return err
	}
	if known {
		state, err := queues.StateOf(ctx, b.rdb, tasks.QueueDeliveries, id)
		if errors.Is(err, queues.ErrMissing) || state == queues.Dead {
			return nil // deleted meanwhile, or kept before
		}
	}
	payload, err := d.encode()
	if err != nil {
		return fmt.Errorf("encode a delivery: %w", err)
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
		state, look := queues.StateOf(ctx, b.rdb, tasks.QueueDeliveries, id)
		if errors.Is(look, queues.ErrMissing) || look == nil && state == queues.Dead {
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
