package webhook

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"
)

// The official Go libraries sign, we verify; and what we refuse, they refuse.
func TestVerify_OfficialSigners(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	type library interface {
		Sign(id string, at time.Time, payload []byte) (string, error)
		Verify(payload []byte, headers http.Header) error
	}
	standard, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	ofSvix, err := svix.NewWebhook(secret)
	require.NoError(t, err)
	for _, test := range []struct {
		preset, prefix string
		library        library
	}{
		{"standard-webhooks", "Webhook-", standard},
		{"svix", "Svix-", ofSvix},
	} {
		h := compiled(t, source(t, test.preset, func(s *Source) { s.Secrets = []Secret{secret} }))
		for _, body := range []string{"", "{}", `{"data":{"tags":["é😀"]}}`, "\x00\xff\r\n"} {
			for _, age := range []time.Duration{0, 4 * time.Minute, -4 * time.Minute, 6 * time.Minute, -6 * time.Minute} {
				now := time.Now()
				at := now.Add(-age)
				signature, err := test.library.Sign("msg_1", at, []byte(body))
				require.NoError(t, err)
				d := Delivery{Method: http.MethodPost, URL: "/hooks/blog", Header: http.Header{}, Body: []byte(body), Now: now}
				d.Header.Set(test.prefix+"Id", "msg_1")
				d.Header.Set(test.prefix+"Timestamp", fmt.Sprint(at.Unix()))
				d.Header.Set(test.prefix+"Signature", "v1a,AAAA v1a,BBBB "+signature)
				ok, reason := h.Verify(d)
				theirs := test.library.Verify(d.Body, d.Header)
				assert.Equal(t, theirs == nil, ok, "%s, %s: %s, %v", test.preset, age, reason, theirs)

				d.Header.Set(test.prefix+"Id", "msg_2")
				ok, _ = h.Verify(d)
				assert.False(t, ok)
				assert.Error(t, test.library.Verify(d.Body, d.Header))
			}
		}
	}
}
