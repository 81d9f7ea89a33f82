package webhook

import "crypto/sha256"

// signatureVerifier checks a signature over a text made of the delivery.
type signatureVerifier struct {
	keys      []key
	encoding  string
	header    SignatureHeader
	stamp     *stamp // nil: the sender signs no time
	signed    template
	algorithm string
}

func newSignatureVerifier(field string, v Verifier, f *faults) *signatureVerifier {
	s := &signatureVerifier{encoding: v.Encoding, header: v.Signature, algorithm: v.Algorithm}
	f.none(field, "for kind signature", map[string]bool{"from": v.From != "", "scheme": v.Scheme != "", "i_know": v.IKnow})
	f.oneOf(field+".algorithm", v.Algorithm, HMACSHA1, HMACSHA256, HMACSHA384, HMACSHA512, Ed25519, RSAPSSSHA256)
	f.oneOf(field+".encoding", v.Encoding, EncodingHex, EncodingBase64, EncodingBase64URL)
	switch v.Algorithm {
	case RSAPSSSHA256:
		f.oneOf(field+".key.encoding", v.Key.Encoding, EncodingPEM)
	case Ed25519:
		f.oneOf(field+".key.encoding", v.Key.Encoding, EncodingBase64, EncodingHex)
	default:
		if v.Key.Encoding != "" {
			f.oneOf(field+".key.encoding", v.Key.Encoding, EncodingText, EncodingBase64, EncodingHex)
		}
	}
	if v.Key.StripPrefix != "" && (v.Key.Encoding == "" || v.Key.Encoding == EncodingText) {
		f.add(field+".key.strip_prefix", "has no meaning for a key that is text: all of the text is the key")
	}
	s.header.check(field+".signature", f)
	withParams := v.Signature.Pair != ""
	if v.Timestamp != nil {
		s.stamp = newStamp(field+".timestamp", *v.Timestamp, withParams, f)
	}
	s.signed = parseTemplate(field+".signed", v.Signed, withParams, s.stamp != nil, f)
	return s
}

// verify looks at the timestamp only when the signature is right: until then it
// is anybody's word.
func (s *signatureVerifier) verify(r *request) proof {
	value, reason := r.header(s.header.Header)
	if reason != Verified {
		return proof{reason: reason}
	}
	entries, reason := s.header.parse(value)
	if reason != Verified {
		return proof{reason: reason}
	}
	with := signing{entries: entries}
	if s.stamp != nil {
		if with.timestamp, reason = r.at(s.stamp.from, entries); reason != Verified {
			return proof{reason: reason}
		}
		if s.stamp.from.kind == inHeader {
			with.stampHeader = s.stamp.from.name
		}
	}
	text, reason := s.signed.render(r, with)
	if reason != Verified {
		return proof{reason: reason}
	}
	if reason := s.match(text, entries.signatures); reason != Verified {
		return proof{reason: reason}
	}
	if s.stamp != nil {
		if reason := s.stamp.check(with.timestamp, r.Now); reason != Verified {
			return proof{reason: reason}
		}
	}
	return proof{reason: Verified, content: sha256.Sum256(text), signed: true}
}

// match tries every signature with every key.
func (s *signatureVerifier) match(text []byte, signatures []string) Reason {
	reason := ReasonMalformed
	for _, signature := range signatures {
		raw, ok := decode(s.encoding, signature)
		if !ok {
			continue
		}
		reason = ReasonMismatch
		for _, key := range s.keys {
			if key.verify(text, raw) {
				return Verified
			}
		}
	}
	return reason
}

func (*signatureVerifier) readsBody() bool { return true }
