package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

// TokenName is how a token without a name shows in the journal: the first eight
// hexadecimal digits of its SHA-256.
func TokenName(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "sha256:" + hex.EncodeToString(sum[:4])
}

// keyring knows the accepted tokens by their hash; empty, it accepts all.
type keyring map[[sha256.Size]byte]string

func newKeyring(tokens []Token) keyring {
	k := keyring{}
	for _, t := range tokens {
		k[sha256.Sum256([]byte(t.Secret))] = t.String()
	}
	return k
}

// name returns what the journal calls a token, and whether it is accepted.
func (k keyring) name(secret string) (string, bool) {
	if len(k) == 0 {
		return TokenName(secret), true
	}
	if name, ok := k[sha256.Sum256([]byte(secret))]; ok {
		return name, true
	}
	return TokenName(secret), false
}

// authorize names the caller in the journal, or refuses as Vercel was seen to do:
// 403, with missingToken without a bearer token and with invalidToken for one that
// is unknown or expired.
func (e *Emulator) authorize(x *exchange) *answer {
	query := x.r.URL.RawQuery
	if strings.Contains(query, "teamId=") || strings.Contains(query, "slug=") {
		values := x.r.URL.Query()
		x.call.Team = values.Get("teamId") + values.Get("slug")
	}
	secret, ok := api.Bearer(x.r.Header.Get("Authorization"))
	if !ok {
		return refuse(api.NoToken)
	}
	name, ok := e.keys.name(secret)
	x.call.Token = name
	if !ok || x.faults.expired[name] {
		return refuse(api.BadToken)
	}
	return nil
}
