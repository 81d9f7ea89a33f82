package webhook

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// packings are the encodings of a body that are unpacked, as Accept-Encoding names them.
const packings = "gzip, deflate"

// encodingError says that a body's encoding is none that is unpacked, or not what
// its header says.
type encodingError struct {
	encoding string
	broken   bool // it is not what the header says
}

func (e *encodingError) Error() string {
	if e.broken {
		return "Content-Encoding is " + e.encoding + ", and the body is not"
	}
	return "Content-Encoding is " + e.encoding + ": send the body plain, or as " + strings.ReplaceAll(packings, ", ", " or ")
}

// unpacked returns a delivery whose body is as it was before it was compressed for
// the way, and whose headers say so. The result is bounded like a body that was
// sent plain. What senders sign is the body before it is compressed.
func unpacked(d Delivery, limit int64, grow func(int64) bool) (Delivery, error) {
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(d.Header.Values("Content-Encoding"), ", ")))
	if encoding == "" || encoding == "identity" {
		return d, nil
	}
	shown := abbreviate(encoding)
	var plain io.Reader
	var err error
	switch encoding {
	case "gzip", "x-gzip":
		plain, err = gzip.NewReader(bytes.NewReader(d.Body))
	case "deflate":
		plain, err = inflate(d.Body)
	default:
		return d, &encodingError{encoding: shown}
	}
	if err != nil {
		return d, &encodingError{encoding: shown, broken: true}
	}
	body, err := readAll(plain, -1, limit, grow)
	switch {
	case err == errTooLarge || err == errBusy: //nolint:errorlint // our own, as readAll returns them
		return d, err
	case err != nil:
		return d, &encodingError{encoding: shown, broken: true}
	}
	header := d.Header.Clone()
	header.Del("Content-Encoding")
	if header.Get("Content-Length") != "" {
		header.Del("Content-Length")
	}
	d.Body, d.Header = body, header
	return d, nil
}

// inflate reads deflate: by the standard with zlib's frame, by many senders without.
func inflate(body []byte) (io.Reader, error) {
	in := bufio.NewReader(bytes.NewReader(body))
	const method, deflated, check = 0x0f, 8, 31
	if head, err := in.Peek(2); err == nil && head[0]&method == deflated && (int(head[0])<<8|int(head[1]))%check == 0 {
		return zlib.NewReader(in)
	}
	return flate.NewReader(in), nil
}

// refuseEncoding is the answer for a body that cannot be unpacked. It names its
// encoding, and what could be: RFC 9110, 15.5.16.
func refuseEncoding(e *encodingError) answer {
	message, _ := json.Marshal(e.Error())
	return answer{status: http.StatusUnsupportedMediaType, body: `{"error":` + string(message) + `}`, acceptEncoding: packings}
}
