package emulator

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkEmulator bounds what a worker's throughput can be measured with: the
// handler alone, and a round trip of the client over a loopback connection.
func BenchmarkEmulator(b *testing.B) {
	limits := map[string]Limit{"unlimited": {}, "limited": {Calls: 1 << 30}}
	for _, name := range []string{"unlimited", "limited"} {
		config := Config{Limit: limits[name], JournalCap: 1000}
		b.Run("handler/"+name, func(b *testing.B) {
			e, err := New(config)
			require.NoError(b, err)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				body := `{"tags":` + list(16, "collection:shoes") + `}`
				for pb.Next() {
					r := httptest.NewRequest(http.MethodPost, tagsPath+"?projectIdOrName=prj_a", strings.NewReader(body))
					r.Header.Set("Authorization", "Bearer "+secret)
					w := httptest.NewRecorder()
					e.ServeHTTP(w, r)
					if w.Code != http.StatusOK {
						b.Fatal(w.Body)
					}
				}
			})
		})
		b.Run("client/"+name, func(b *testing.B) {
			s := start(b, config)
			r := request(strings.Split(strings.Repeat("collection:shoes,", 15)+"last", ",")...)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.client.Purge(context.Background(), r); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
