package webhook

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func BenchmarkVerify(b *testing.B) {
	for _, id := range []string{"sanity/01-valid", "contentful/01-valid", "hygraph/01-valid", "contentstack-rsa/01-valid", "prismic/01-valid"} {
		b.Run(id, func(b *testing.B) {
			v := vectorNamed(b, id)
			h, d := compiled(b, v.source(b)), v.delivery()
			for b.Loop() {
				if ok, reason := h.Verify(d); !ok {
					b.Fatal(reason)
				}
			}
		})
	}
}

// BenchmarkHandler is a whole delivery but for Redis.
func BenchmarkHandler(b *testing.B) {
	d := newDesk(b, nil, source(b, "github", func(s *Source) { s.Secrets = []Secret{blogSecret} }))
	const body = `{"ref":"refs/heads/main","commits":[{"added":["a.md"],"modified":["b.md","c.md"],"removed":[]}]}`
	signature := "sha256=" + hexOf(mac(blogSecret, body))
	for b.Loop() {
		d.log.Reset()
		d.purges = d.purges[:0]
		r := httptest.NewRequest(http.MethodPost, "/hooks/blog", strings.NewReader(body))
		r.Header.Set("X-Hub-Signature-256", signature)
		r.Header.Set("X-GitHub-Event", "push")
		if w := d.serve(r); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
