package webhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"
)

// tokenVerifier compares a value of the delivery with the secrets.
type tokenVerifier struct {
	from    location
	scheme  string
	secrets digests
}

func newTokenVerifier(field string, v Verifier, f *faults) *tokenVerifier {
	f.none(field, "for kind token", signatureKeys(v))
	if v.IKnow {
		f.add(field+".i_know", "has no meaning for kind token: remove it")
	}
	t := &tokenVerifier{scheme: v.Scheme, from: parseLocation(field+".from", v.From, f, inHeader, inQuery, inJSON)}
	if v.Scheme != "" && (t.from.kind != inHeader || !isToken(v.Scheme)) {
		f.add(field+".scheme", "%q is not a word before a token in a header", abbreviate(v.Scheme))
	}
	return t
}

func (t *tokenVerifier) verify(r *request) proof {
	value, reason := r.at(t.from, entries{})
	if reason != Verified {
		return proof{reason: reason}
	}
	if t.scheme != "" {
		credentials, ok := afterScheme(value, t.scheme)
		if !ok {
			return proof{reason: ReasonMalformed}
		}
		value = credentials
	}
	return proof{reason: t.secrets.match(value)}
}

// afterScheme returns the credentials after a scheme, whose case does not count.
func afterScheme(value, scheme string) (string, bool) {
	word, credentials, ok := strings.Cut(value, " ")
	credentials = strings.TrimLeft(credentials, " ")
	return credentials, ok && strings.EqualFold(word, scheme) && credentials != ""
}

// digests are hashes of secrets, so that a comparison takes the same time
// whatever their lengths.
type digests [][sha256.Size]byte

func (d digests) match(value string) Reason {
	sum, found := sha256.Sum256([]byte(value)), 0
	for _, secret := range d {
		found |= subtle.ConstantTimeCompare(sum[:], secret[:])
	}
	if found == 0 {
		return ReasonMismatch
	}
	return Verified
}

// signatureKeys says which keys of kind signature were given.
func signatureKeys(v Verifier) map[string]bool {
	s := v.Signature
	return map[string]bool{
		"algorithm": v.Algorithm != "", "key": v.Key != Key{}, "encoding": v.Encoding != "",
		"signature": s.Header+s.Split+s.Pair != "" || s.Label != nil,
		"timestamp": v.Timestamp != nil, "signed": v.Signed != "",
	}
}

func (t *tokenVerifier) readsBody() bool { return t.from.kind == inJSON }
