package webhook

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// maxSecrets bounds the work of one delivery.
const maxSecrets = 10

func (h *Hook) compileVerifiers(list []Verifier, s Source, f *faults) {
	if len(list) == 0 {
		f.add("verify", "is missing: say how a delivery is proved, or name a preset")
	}
	stamped, usesURI := false, false
	var users []secretUser
	for i, v := range list {
		field := fmt.Sprintf("verify[%d]", i)
		if v.Timestamp != nil && s.Tolerance != 0 {
			stamp := *v.Timestamp
			stamp.Tolerance = s.Tolerance
			v.Timestamp = &stamp
		}
		stamped = stamped || v.Timestamp != nil
		usesURI = usesURI || strings.Contains(v.Signed, "{"+putURI)
		compiled, user := newVerifier(field, v, f)
		if compiled == nil {
			continue
		}
		h.verifiers = append(h.verifiers, compiled)
		if user != nil {
			users = append(users, secretUser{field, user})
		}
		if t, ok := compiled.(*tokenVerifier); ok {
			switch t.from.kind {
			case inJSON:
				h.bodySecret = append(h.bodySecret, t.from)
			case inHeader:
				h.tokenHeaders = append(h.tokenHeaders, http.CanonicalHeaderKey(t.from.name))
			default:
			}
		}
	}
	if len(users) > 0 {
		shareSecrets(s.Secrets, users, f)
	}
	if s.Tolerance != 0 && !stamped && len(list) > 0 {
		f.add("tolerance", "has no meaning: this sender signs no time")
	}
	if s.PublicPath != "" && !usesURI && len(list) > 0 {
		f.add("public_path", "has no meaning: this sender does not sign the path")
	}
	if s.PublicPath != "" && (s.PublicPath[0] != '/' || strings.ContainsAny(s.PublicPath, "?#")) {
		f.add("public_path", "%q is not a path: it begins with / and holds no query", abbreviate(s.PublicPath))
	}
}

// accepts takes a secret for a verifier, or says why it cannot.
type accepts func(Secret) error

type secretUser struct {
	field string
	take  accepts
}

// newVerifier compiles a verifier; it has no keys until its secrets are taken.
func newVerifier(field string, v Verifier, f *faults) (verifier, accepts) {
	known := len(f.list)
	switch v.Kind {
	case KindSignature:
		s := newSignatureVerifier(field, v, f)
		if len(f.list) > known {
			return s, nil // its secrets could only be misjudged
		}
		return s, func(secret Secret) error {
			k, err := newKey(v.Algorithm, v.Key, secret)
			if err == nil {
				s.keys = append(s.keys, k)
			}
			return err
		}
	case KindToken:
		t := newTokenVerifier(field, v, f)
		return t, func(secret Secret) error {
			t.secrets = append(t.secrets, sha256.Sum256([]byte(secret)))
			return nil
		}
	case KindBasic:
		b := newBasicVerifier(field, v, f)
		return b, func(secret Secret) error {
			if _, password, ok := strings.Cut(string(secret), ":"); !ok || password == "" {
				return errors.New("is not of the form user:password")
			}
			b.secrets = append(b.secrets, sha256.Sum256([]byte(secret)))
			return nil
		}
	case KindNone:
		f.none(field, "for kind none", signatureKeys(v))
		if !v.IKnow {
			f.add(field+".i_know", "must be true for kind none: whoever reaches the listener may purge")
		}
		return noneVerifier{}, nil
	}
	f.oneOf(field+".kind", v.Kind, KindSignature, KindToken, KindBasic, KindNone)
	return nil, nil
}

// shareSecrets gives every secret to every verifier that can use it. None may
// be left over, and no verifier may go without.
func shareSecrets(secrets []Secret, users []secretUser, f *faults) {
	if len(secrets) == 0 {
		f.add("secrets", "is missing: without a secret nothing can be verified")
		return
	}
	if len(secrets) > maxSecrets {
		f.add("secrets", "%d are too many, the limit is %d: remove those that are no longer in use", len(secrets), maxSecrets)
		return
	}
	taken := make([]int, len(users))
	for i, secret := range secrets {
		field := fmt.Sprintf("secrets[%d]", i)
		if strings.TrimSpace(string(secret)) == "" {
			f.add(field, "is empty")
			continue
		}
		var refusal error
		used := false
		for j, user := range users {
			if err := user.take(secret); err == nil {
				used = true
				taken[j]++
			} else if refusal == nil {
				refusal = err
			}
		}
		if !used {
			f.add(field, "%v", refusal)
		} else if !strings.HasPrefix(string(secret), "-----BEGIN ") && strings.TrimSpace(string(secret)) != string(secret) {
			f.add(field, "begins or ends with white space")
		}
	}
	for j, user := range users {
		if taken[j] == 0 && len(users) > 1 {
			f.add(user.field, "can use none of the secrets")
		}
	}
}
