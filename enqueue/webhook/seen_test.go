package webhook

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// WooCommerce's delivery id is a hash of the webhook and the current second: it
// is the same for all products that an import changes within one.
func TestDedupe_WooCommerceSharesAnIDWithinASecond(t *testing.T) {
	t.Parallel()
	d := newDesk(t, &memory{}, blog(t, "woocommerce"))
	for i := range 60 {
		body := fmt.Sprintf(`{"id":%d}`, i%30) // each product twice: deleted, restored, deleted again
		assert.Equal(t, "queued", status(t, d.send(body, "X-WC-Webhook-Signature", base64Of(mac(blogSecret, body)),
			"X-WC-Webhook-Resource", "product", "X-WC-Webhook-Event", "deleted", "X-WC-Webhook-Delivery-ID", "a1b2"), 200))
	}
	assert.Len(t, d.purges, 60)
}

// delivered is a delivery in which every place that a source may take an id
// from says "1", whatever the body says besides.
func delivered(h *Hook, besides string) Delivery {
	d := Delivery{Method: http.MethodPost, Header: http.Header{}, Now: time.Now()}
	members := []string{`"besides":"` + besides + `"`}
	for _, l := range h.deliveryID {
		switch l.kind {
		case inHeader:
			d.Header.Set(l.name, "1")
		case inJSON:
			value := `"1"`
			for i := len(l.path) - 1; i > 0; i-- {
				value = `{"` + l.path[i] + `":` + value + `}`
			}
			members = append(members, `"`+l.path[0]+`":`+value)
		}
	}
	d.Body = []byte("{" + strings.Join(members, ",") + "}")
	return d
}

// Whatever a sender's id is worth: two bodies are never one delivery.
func TestDedupe_TwoBodiesAreNeverOneDelivery(t *testing.T) {
	t.Parallel()
	named := 0
	for name := range shipped(t) {
		h := compiled(t, source(t, name))
		one, again, other := delivered(h, "one"), delivered(h, "one"), delivered(h, "other")
		assert.Equal(t, h.ids(one, proof{}), h.ids(again, proof{}), "%s: what is sent again is known", name)
		for _, id := range h.ids(one, proof{}) {
			named++
			assert.NotContains(t, h.ids(other, proof{}), id, name)
		}
	}
	assert.Greater(t, named, 10)
}

// Sent again by a person after the source was changed, a delivery of which
// nothing was purged is carried out.
func TestDedupe_OnlyWhatWasPurgedIsSeen(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func(*Source){
		"ignored by accept":  func(s *Source) { s.Override.Accept = "false" },
		"names nothing":      func(s *Source) { s.Override.Tags = "empty" },
		"cannot be mapped":   func(s *Source) { s.Override.Tags = ".tags.x" },
		"mapped only partly": func(s *Source) { s.Override.Tags = `.tags[], .tags.x` },
		"refused by us": func(s *Source) {
			s.Override.Tags, s.OnMappingError = ".tags.x", Reject
		},
	} {
		seen := &memory{}
		before := newDesk(t, seen, plainSource(wrong))
		before.post(`{"tags":["a"]}`, "X-Id", "1")
		first := len(before.letters)
		before.post(`{"tags":["a"]}`, "X-Id", "1")
		for _, l := range before.letters[first:] {
			assert.Equal(t, before.letters[0].ID, l.ID, "%s: the same letter, which is kept once", name)
		}
		after := newDesk(t, seen, plainSource())
		assert.Equal(t, "queued", status(t, after.post(`{"tags":["a"]}`, "X-Id", "1"), 200), name)
		assert.Equal(t, "duplicate", status(t, after.post(`{"tags":["a"]}`, "X-Id", "1"), 200), name)
	}
}

// An id that the sender repeats for another body hides nothing: most do not sign it.
func TestDedupe_IDDoesNotWinOverTheBody(t *testing.T) {
	t.Parallel()
	d := newDesk(t, &memory{}, plainSource())
	assert.Equal(t, "queued", status(t, d.post(`{"tags":["a"]}`, "X-Id", "1"), 200))
	assert.Equal(t, "queued", status(t, d.post(`{"tags":["b"]}`, "X-Id", "1"), 200))
	assert.Equal(t, "duplicate", status(t, d.post(`{"tags":["a"]}`, "X-Id", "1"), 200))
}
