package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/vercel/api"
	"github.com/edgepurge/edgepurge/tasks"
)

// PurgesPath is where the JSON API takes purges in, and below which it tells
// what became of them.
const PurgesPath = "/v1/purges"

// MaxBodyBytes bounds a purge of the JSON API: more than 300,000 ordinary tags.
const MaxBodyBytes = 10 << 20

var (
	notYourProject = api.Refusal{Status: http.StatusForbidden, Message: "This key is not for that project: see gateway.api_keys[].projects"}
	noReceipt      = api.Refusal{Status: http.StatusNotFound, Message: "Receipt not found: its purge was not tracked, is of another key's project, or nothing happened to it for 24 hours"}
)

// receiptBody is the answer to a purge that was taken in.
type receiptBody struct {
	Receipt     string    `json:"receipt"`
	Project     string    `json:"project"`
	Items       int       `json:"items"`
	Tracked     bool      `json:"tracked"`
	RequestedAt time.Time `json:"requested_at"`
}

// statusBody is the answer to what became of it.
type statusBody struct {
	Receipt     string    `json:"receipt"`
	Project     string    `json:"project"`
	Total       int       `json:"total"`
	Pending     int       `json:"pending"`
	Purged      int       `json:"purged"`
	Dead        int       `json:"dead"`
	Done        bool      `json:"done"`
	RequestedAt time.Time `json:"requested_at"`
	ChangedAt   time.Time `json:"changed_at,omitzero"`
	DoneAt      time.Time `json:"done_at,omitzero"`
}

// purge takes a purge in.
func (h *Handler) purge(ctx context.Context, x *exchange) answer {
	key, ok := idempotencyKey(x.r.Header)
	if !ok {
		return invalid("the Idempotency-Key header should be one, of 1 to 255 visible ASCII characters.")
	}
	body, refused := readBody(x.w, x.r, MaxBodyBytes)
	if refused != nil {
		return *refused
	}
	p, faults := decodePurge(body, time.Now())
	if len(faults) > 0 {
		return faulty(faults)
	}
	p.Source = x.caller.name
	x.purge = p
	if !x.caller.covers(p.Project) {
		return refuse(notYourProject, Forbidden)
	}
	ctx, cancel := context.WithTimeout(ctx, redisTime(len(body)))
	defer cancel()
	if key == "" {
		return h.accept(ctx, x)
	}
	return h.once(ctx, x, key, body)
}

// accept stores the exchange's purge and hands out its receipt.
func (h *Handler) accept(ctx context.Context, x *exchange) answer {
	receipt, refused := h.store(ctx, x)
	if refused != nil {
		return *refused
	}
	return accepted(receiptBody{receipt.ID, x.purge.Project, receipt.Items, x.purge.Track, x.purge.RequestedAt})
}

func accepted(r receiptBody) answer {
	a := shown(http.StatusAccepted, Queued, r)
	if r.Tracked {
		a.location = PurgesPath + "/" + r.Receipt
	}
	return a
}

// faulty tells all faults, and the first of them for those who read a message only.
func faulty(faults []fault) answer {
	return failure(api.Invalid(faults[0].Field+": "+faults[0].Problem), Invalid, faults)
}

// follow tells what became of a purge, to a key that could have asked for it.
func (h *Handler) follow(ctx context.Context, x *exchange) answer {
	id := strings.TrimPrefix(x.r.URL.Path, PurgesPath+"/")
	if !isName(id) || len(id) > tasks.MaxIDBytes {
		return refuse(noReceipt, NotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	s, err := h.Status(ctx, id)
	switch {
	case errors.Is(err, enqueue.ErrUnknownReceipt):
		return refuse(noReceipt, NotFound)
	case err != nil:
		return unavailable("The receipt could not be looked up: ask again", err)
	case !x.caller.covers(s.Project):
		return refuse(noReceipt, NotFound)
	}
	return shown(http.StatusOK, Shown, statusBody{
		s.ID, s.Project, s.Total, s.Pending, s.Purged, s.Dead, s.Done(), s.RequestedAt, s.ChangedAt, s.DoneAt,
	})
}
