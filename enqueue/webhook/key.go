package webhook

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // Storyblok signs with HMAC-SHA1, which is not broken as SHA-1 is
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// key checks signatures in constant time.
type key interface {
	verify(message, signature []byte) bool
}

const (
	minRSABits = 2048
	pssSalt    = 32
)

// newKey makes a key of a secret. Its errors do not show the secret.
func newKey(algorithm string, k Key, secret Secret) (key, error) {
	text := string(secret)
	if k.StripPrefix != "" {
		text = strings.TrimPrefix(text, k.StripPrefix)
	}
	if algorithm == RSAPSSSHA256 {
		return newRSAKey(text)
	}
	raw := []byte(text)
	if k.Encoding != EncodingText && k.Encoding != "" {
		decoded, ok := decode(k.Encoding, text)
		if !ok {
			return nil, fmt.Errorf("is not in %s", k.Encoding)
		}
		raw = decoded
	}
	if len(raw) == 0 {
		return nil, errors.New("is empty")
	}
	switch algorithm {
	case HMACSHA1:
		return hmacKey{sha1.New, raw}, nil
	case HMACSHA256:
		return hmacKey{sha256.New, raw}, nil
	case HMACSHA384:
		return hmacKey{sha512.New384, raw}, nil
	case HMACSHA512:
		return hmacKey{sha512.New, raw}, nil
	case Ed25519:
		if len(raw) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("is %d bytes long, a public Ed25519 key has %d", len(raw), ed25519.PublicKeySize)
		}
		return edKey(raw), nil
	}
	return nil, fmt.Errorf("algorithm %q is unknown", algorithm)
}

type hmacKey struct {
	hash   func() hash.Hash
	secret []byte
}

func (k hmacKey) verify(message, signature []byte) bool {
	mac := hmac.New(k.hash, k.secret)
	mac.Write(message)
	return hmac.Equal(mac.Sum(nil), signature)
}

type edKey ed25519.PublicKey

func (k edKey) verify(message, signature []byte) bool {
	return ed25519.Verify(ed25519.PublicKey(k), message, signature)
}

type rsaKey struct{ public *rsa.PublicKey }

func (k rsaKey) verify(message, signature []byte) bool {
	sum := sha256.Sum256(message)
	return rsa.VerifyPSS(k.public, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: pssSalt}) == nil
}

// newRSAKey reads a public key as PKCS #1 ("RSA PUBLIC KEY") or PKIX ("PUBLIC KEY").
func newRSAKey(text string) (key, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("is not one PEM block")
	}
	var public *rsa.PublicKey
	switch block.Type {
	case "RSA PUBLIC KEY":
		k, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("is not a PKCS #1 public key")
		}
		public = k
	case "PUBLIC KEY":
		k, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("is not a PKIX public key")
		}
		public, _ = k.(*rsa.PublicKey)
	}
	if public == nil {
		return nil, errors.New(`is not a public RSA key ("RSA PUBLIC KEY" or "PUBLIC KEY")`)
	}
	if bits := public.N.BitLen(); bits < minRSABits {
		return nil, fmt.Errorf("has %d bits, at least %d are needed", bits, minRSABits)
	}
	return rsaKey{public}, nil
}
