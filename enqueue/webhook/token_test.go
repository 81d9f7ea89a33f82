package webhook

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Every one of several secrets counts, wherever it stands in the list: while one
// is replaced by another, the sender may use either.
func TestToken_EverySecretCounts(t *testing.T) {
	t.Parallel()
	secrets := []Secret{"user:first-of-three", "user:second-of-three", "user:third-of-three"}
	places := map[string]func(*Delivery, string){
		"strapi":  func(d *Delivery, secret string) { d.Header.Set("Authorization", "Bearer "+secret) },
		"bearer":  func(d *Delivery, secret string) { d.Header.Set("Authorization", "Bearer "+secret) },
		"agility": func(d *Delivery, secret string) { d.URL = "/hooks/blog?token=" + secret },
		"prismic": func(d *Delivery, secret string) { d.Body = []byte(`{"secret":"` + secret + `"}`) },
		"datocms-cache-tags": func(d *Delivery, secret string) {
			d.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
		},
		"github": func(d *Delivery, secret string) {
			d.Body = []byte(`{}`)
			d.Header.Set("X-Hub-Signature-256", "sha256="+hexOf(mac(secret, `{}`)))
		},
	}
	for preset, put := range places {
		h := compiled(t, source(t, preset, func(s *Source) { s.Secrets = secrets }))
		for _, secret := range append(secrets, "user:none-of-them") {
			d := Delivery{Method: http.MethodPost, URL: "/hooks/blog", Header: http.Header{}}
			put(&d, string(secret))
			ok, reason := h.Verify(d)
			assert.Equal(t, secret != "user:none-of-them", ok, "%s: %s: %s", preset, string(secret), reason)
			if !ok {
				assert.Equal(t, ReasonMismatch, reason, preset)
			}
		}
	}
}
