package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkLarge is a delivery of a megabyte that cannot be mapped, and for whose
// dead letter there is no room: one text, and a document of many members.
func BenchmarkLarge(b *testing.B) {
	var members strings.Builder
	for i := 0; members.Len() < 1<<20-1000; i++ {
		fmt.Fprintf(&members, `{"id":"post-%d","title":"About %d","published":true,"views":%d},`, i, i, i)
	}
	for name, body := range map[string]string{
		"text":    `{"x":"` + strings.Repeat("b", 1<<20-1000) + `"}`,
		"members": `{"x":[` + members.String() + `{}]}`,
	} {
		b.Run(name, func(b *testing.B) {
			h := newDesk(b, nil, source(b, "github", func(s *Source) {
				s.Secrets, s.Override.Accept, s.Override.Tags = []Secret{blogSecret}, "true", `error("no tags")`
			})).Handler
			h.Room = func(context.Context, Letter, int) error { return ErrNoRoom }
			signature := "sha256=" + hexOf(mac(blogSecret, body))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/hooks/blog", strings.NewReader(body))
				r.Header.Set("X-Hub-Signature-256", signature)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusServiceUnavailable {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
