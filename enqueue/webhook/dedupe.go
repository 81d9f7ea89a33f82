package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Dedupe remembers deliveries. It is asked before a purge is stored and told
// after it: what happens in between happens twice, at worst.
type Dedupe interface {
	// Seen reports whether any of the ids has been marked for the source.
	Seen(ctx context.Context, source string, ids ...string) (bool, error)
	// Mark remembers the ids for ttl, now or soon: it need not wait.
	Mark(ctx context.Context, source string, ttl time.Duration, ids ...string) error
}

// id returns what names the delivery, or false if a part of it is missing.
func (h *Hook) id(d Delivery) (string, bool) {
	if len(h.deliveryID) == 0 {
		return "", false
	}
	r := &request{Delivery: d}
	parts := make([]string, len(h.deliveryID))
	for i, l := range h.deliveryID {
		if l.kind == inBody {
			parts[i] = sum(d.Body)
			continue
		}
		text, reason := r.at(l, entries{})
		if reason != Verified {
			return "", false
		}
		parts[i] = text
	}
	return strings.Join(parts, "\n"), true
}

// ids returns what a genuine delivery is remembered by: its id together with the
// hash of its body, and the hash of what was signed. No id alone says that two
// deliveries are one: WooCommerce gives all events of a second the same, and
// most senders do not sign it. The second guards against a replay under a new
// id. It is the signed text and not the body: a body may be the same for two
// events (Ghost's site.changed is "{}"), and then only the time that is signed
// with it tells them apart.
func (h *Hook) ids(d Delivery, p proof) []string {
	var ids []string
	if id, ok := h.id(d); ok {
		ids = append(ids, "id:"+id+"\n"+sum(d.Body))
	}
	if p.signed && !h.sameIsEvent {
		ids = append(ids, "signed:"+hex.EncodeToString(p.content[:]))
	}
	return ids
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
