package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

const (
	// remembered is how long an Idempotency-Key stands for its purge.
	remembered = 24 * time.Hour
	// maxIdempotencyKey is what others allow too; it is hashed anyway.
	maxIdempotencyKey = 255
	// oneTaskBytes bounds the bodies whose purge is one task for certain, 1 MiB
	// at most: encoding it again at most doubles it.
	oneTaskBytes = 512 << 10
)

var otherBody = api.Refusal{
	Status:  http.StatusUnprocessableEntity,
	Message: "This Idempotency-Key came with another body in the last 24 hours: use a key of its own for each purge",
}

// record is what an Idempotency-Key stands for, as JSON in Redis. It is written
// before the purge is stored, and again with the answer after it.
//
// Without an answer, an earlier attempt failed, died or is still under way, and
// nobody knows how far it came. The purge is stored again then, under the same
// id: where the earlier one's task still lies there, it is the same task, and
// where a worker had it already, it is a second purge at worst. It is never a
// lost one, for nothing is taken as stored that this attempt has not seen stored.
type record struct {
	Body   string       `json:"body"` // SHA-256
	ID     string       `json:"id"`   // of the purge
	Answer *receiptBody `json:"answer,omitempty"`
}

// once stores the exchange's purge unless its Idempotency-Key has done so.
func (h *Handler) once(ctx context.Context, x *exchange, key string, body []byte) answer {
	id, err := ulid.New(ulid.Timestamp(x.purge.RequestedAt), rand.Reader)
	if err != nil {
		return unavailable("The purge could not be stored: send it again", fmt.Errorf("make an id: %w", err))
	}
	at := idempotencyRecord(x.caller.name, key)
	ours := record{Body: digest(body), ID: id.String()}
	kept, err := h.begin(ctx, at, ours)
	switch {
	case err != nil:
		return unavailable("The purge could not be stored: send it again", fmt.Errorf("look for an Idempotency-Key: %w", err))
	case kept.Body != ours.Body:
		return refuse(otherBody, Conflict)
	case kept.Answer != nil:
		x.purge.ID = kept.Answer.Receipt
		a := accepted(*kept.Answer)
		a.outcome, a.replayed = Repeated, true
		return a
	}
	if len(body) <= oneTaskBytes { // of several tasks, the ids must not meet those of another attempt's
		ours.ID = kept.ID
	}
	x.purge.ID = ours.ID
	receipt, refused := h.store(ctx, x)
	if refused != nil {
		return *refused
	}
	ours.Answer = &receiptBody{receipt.ID, x.purge.Project, receipt.Items, x.purge.Track, x.purge.RequestedAt}
	if err := h.conclude(ctx, at, ours); err != nil { // the purge is stored, and that is what counts
		h.Log.Warn().Str("source", x.caller.name).Str("id", receipt.ID).Err(err).Msg("an Idempotency-Key is not remembered: the same purge may be stored twice")
	}
	return accepted(*ours.Answer)
}

// begin notes the record unless there is one, and returns the one that is there.
func (h *Handler) begin(ctx context.Context, at string, ours record) (record, error) {
	note, err := json.Marshal(ours)
	if err != nil {
		return record{}, err
	}
	for { // a record may end between the two commands; it will not do so twice
		err := h.Redis.SetArgs(ctx, at, note, redis.SetArgs{Mode: "NX", TTL: remembered}).Err()
		if err == nil {
			return ours, nil
		}
		if !errors.Is(err, redis.Nil) {
			return record{}, err
		}
		found, err := h.Redis.Get(ctx, at).Bytes()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return record{}, err
		}
		var kept record
		if err := json.Unmarshal(found, &kept); err != nil {
			return record{}, fmt.Errorf("read %s: %w", at, err)
		}
		return kept, nil
	}
}

// conclude adds the answer to the record, if it is still there; its time goes on.
func (h *Handler) conclude(ctx context.Context, at string, ours record) error {
	note, err := json.Marshal(ours)
	if err != nil {
		return err
	}
	err = h.Redis.SetArgs(ctx, at, note, redis.SetArgs{Mode: "XX", KeepTTL: true}).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// idempotencyRecord names a record in Redis: each key of the gateway has its own.
func idempotencyRecord(caller, key string) string {
	return "edgepurge:idempotency:" + caller + ":" + digest([]byte(key))
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// idempotencyKey returns the header; empty: there is none. False: it is unfit.
func idempotencyKey(header http.Header) (string, bool) {
	values := header.Values("Idempotency-Key")
	switch {
	case len(values) == 0:
		return "", true
	case len(values) > 1 || values[0] == "" || len(values[0]) > maxIdempotencyKey:
		return "", false
	}
	for _, c := range []byte(values[0]) {
		if c <= ' ' || c > '~' {
			return "", false
		}
	}
	return values[0], true
}
