package webhook

// basicVerifier compares user and password, RFC 7617, with secrets of the form
// user:password. The password may hold colons.
type basicVerifier struct{ secrets digests }

func newBasicVerifier(field string, v Verifier, f *faults) *basicVerifier {
	f.none(field, "for kind basic", signatureKeys(v))
	f.none(field, "for kind basic", map[string]bool{"from": v.From != "", "scheme": v.Scheme != "", "i_know": v.IKnow})
	return &basicVerifier{}
}

func (b *basicVerifier) verify(r *request) proof {
	value, reason := r.header("Authorization")
	if reason != Verified {
		return proof{reason: reason}
	}
	credentials, ok := afterScheme(value, "Basic")
	if !ok {
		return proof{reason: ReasonMalformed}
	}
	raw, ok := decode(EncodingBase64, credentials)
	if !ok {
		return proof{reason: ReasonMalformed}
	}
	return proof{reason: b.secrets.match(string(raw))}
}

func (*basicVerifier) readsBody() bool { return false }
