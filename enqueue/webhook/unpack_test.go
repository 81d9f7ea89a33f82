package webhook

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func packed(t *testing.T, encoding, body string) string {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zlib":
		w = zlib.NewWriter(&out)
	case "flate":
		var err error
		w, err = flate.NewWriter(&out, flate.DefaultCompression)
		require.NoError(t, err)
	default:
		return body
	}
	_, err := io.WriteString(w, body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.String()
}

func TestHandler_PackedBodies(t *testing.T) {
	t.Parallel()
	const body = `{"tags":["a"]}`
	large := `{"tags":["a"],"x":"` + strings.Repeat("x", DefaultBodyBytes) + `"}`
	for _, test := range []struct {
		header, packing, body string
		code                  int
		word                  string
	}{
		{"gzip", "gzip", body, 200, "queued"},
		{"x-gzip", "gzip", body, 200, "queued"},
		{"GZIP ", "gzip", body, 200, "queued"},
		{"deflate", "zlib", body, 200, "queued"},
		{"deflate", "flate", body, 200, "queued"},
		{"identity", "", body, 200, "queued"},
		{"br", "", body, 415, "Content-Encoding is br: send the body plain, or as gzip or deflate"},
		{"zstd", "", body, 415, "Content-Encoding is zstd"},
		{"gzip, gzip", "gzip", body, 415, "Content-Encoding is gzip, gzip"},
		{"gzip", "", body, 415, "Content-Encoding is gzip, and the body is not"},
		{"deflate", "", body, 415, "Content-Encoding is deflate, and the body is not"},
		{"gzip", "", packed(t, "gzip", body)[:20], 415, "Content-Encoding is gzip, and the body is not"},
		{"gzip", "gzip", large, 413, ""},
		{"deflate", "flate", large, 413, ""},
	} {
		d := newDesk(t, nil, plainSource())
		w := d.post(packed(t, test.packing, test.body), "Content-Encoding", test.header)
		require.Equal(t, test.code, w.Code, "%s of %q: %s", test.header, test.packing, w.Body)
		switch test.code {
		case 200:
			assert.Equal(t, test.word, status(t, w, 200))
			require.Len(t, d.purges, 1)
			assert.Equal(t, []string{"a"}, d.purges[0].Tags)
		case 415:
			assert.Contains(t, w.Body.String(), test.word)
			assert.Equal(t, "gzip, deflate", w.Header().Get("Accept-Encoding"))
			assert.Equal(t, map[Outcome]int{BadEncoding: 1}, d.counts)
			assert.Contains(t, d.log.String(), "Content-Encoding is ")
		}
	}
}

// What a sender signs is the body before it is compressed. A dead letter holds
// that body, and headers that fit it.
func TestHandler_PackedAndSigned(t *testing.T) {
	t.Parallel()
	d := newDesk(t, &memory{}, blog(t, "github"))
	const body = `{"commits":[{"added":["a"]}]}`
	send := func(body, packing string) string {
		return status(t, d.send(packed(t, packing, body), "Content-Encoding", packing, "X-GitHub-Event", "push", "X-GitHub-Delivery", "1",
			"X-Hub-Signature-256", "sha256="+hexOf(mac(blogSecret, body))), 200)
	}
	assert.Equal(t, "queued", send(body, "gzip"))
	assert.Equal(t, "duplicate", send(body, "identity"), "the same delivery")
	assert.Equal(t, "dead_letter", send("not JSON", "gzip"))
	require.Len(t, d.letters, 1)
	assert.Equal(t, "not JSON", string(d.letters[0].Body))
	assert.Empty(t, d.letters[0].Header.Get("Content-Encoding"))
	assert.Empty(t, d.letters[0].Header.Get("Content-Length"))
}

func TestExplain_Packed(t *testing.T) {
	t.Parallel()
	h := compiled(t, plainSource())
	d := Delivery{Method: http.MethodPost, URL: "/hooks/plain", Header: http.Header{}, Body: []byte(packed(t, "gzip", `{"tags":["a"]}`))}
	d.Header.Set("X-Token", token)
	d.Header.Set("Content-Encoding", "gzip")
	e := h.Explain(t.Context(), d)
	assert.Equal(t, Queued, e.Outcome)
	assert.Equal(t, []string{"a"}, e.Tags)
	d.Header.Set("Content-Encoding", "br")
	e = h.Explain(t.Context(), d)
	assert.Equal(t, BadEncoding, e.Outcome)
	assert.Contains(t, e.Problem, "Content-Encoding is br")
}
