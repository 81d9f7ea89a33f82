package webhook

import (
	"encoding/base64"
	"encoding/hex"
)

// decode is the strict inverse of an encoding: a value has one spelling. The
// decoders of the standard library let line breaks, upper case or stray bits
// pass, and one delivery could then be sent again as another.
func decode(encoding, text string) ([]byte, bool) {
	var raw []byte
	var err error
	again := ""
	switch encoding {
	case EncodingHex:
		raw, err = hex.DecodeString(text)
		again = hex.EncodeToString(raw)
	case EncodingBase64:
		raw, err = base64.StdEncoding.DecodeString(text)
		again = base64.StdEncoding.EncodeToString(raw)
	case EncodingBase64URL:
		raw, err = base64.RawURLEncoding.DecodeString(text)
		again = base64.RawURLEncoding.EncodeToString(raw)
	default:
		return nil, false
	}
	return raw, err == nil && again == text && text != ""
}
