package monitor

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	cookieName = "edgepurge_monitor"
	// sessionLife is how long a login lasts.
	sessionLife = 12 * time.Hour
	// redisTimeout bounds the look whether a session has been ended.
	redisTimeout = 2 * time.Second
	// keyRounds makes a stolen cookie a poor way to guess the password: some 50 ms
	// each time, and once at the start.
	keyRounds = 200_000
)

// sessions knows who is logged in without keeping a list: a cookie is an id and
// its end, signed with a key made from user and password. So several gateways
// know each other's sessions, a restart ends none, and a new password ends all.
// A logout is kept in Redis until the cookie would have expired, so that a copy of
// the cookie is worth nothing at any gateway, whatever is restarted.
type sessions struct {
	user, password [sha256.Size]byte
	key            []byte
	rdb            redis.UniversalClient
	now            func() time.Time
}

type sessionID [16]byte

func newSessions(user, password string, rdb redis.UniversalClient) (*sessions, error) {
	key, err := pbkdf2.Key(sha256.New, password, []byte("edgepurge monitor session\x00"+user), keyRounds, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("make the key of the web UI's sessions: %w", err)
	}
	return &sessions{
		user: sha256.Sum256([]byte(user)), password: sha256.Sum256([]byte(password)),
		key: key, rdb: rdb, now: time.Now,
	}, nil
}

// knows compares in a time that does not depend on what is right.
func (s *sessions) knows(user, password string) bool {
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(u[:], s.user[:])&subtle.ConstantTimeCompare(p[:], s.password[:]) == 1
}

// isPassword compares in a time that does not depend on what is right.
func (s *sessions) isPassword(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(sum[:], s.password[:]) == 1
}

// start gives the browser a new session.
func (s *sessions) start(w http.ResponseWriter, r *http.Request) {
	var id sessionID
	_, _ = rand.Read(id[:]) // never fails
	token := make([]byte, 0, len(id)+8+sha256.Size)
	token = append(token, id[:]...)
	token = binary.BigEndian.AppendUint64(token, uint64(s.now().Add(sessionLife).Unix())) //nolint:gosec // no time before 1970
	token = s.sign(token)
	http.SetCookie(w, s.cookie(r, base64.RawURLEncoding.EncodeToString(token), int(sessionLife.Seconds())))
}

func (s *sessions) cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure over TLS; a gateway on loopback has none
		Name: cookieName, Value: value, Path: Root, MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: overTLS(r),
	}
}

// overTLS reports whether the browser came by TLS, to us or to a proxy before us.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

func (s *sessions) sign(text []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(text)
	return mac.Sum(text)
}

// of returns the session of a request, if it has one that runs. The error is one of
// Redis: the cookie is good, but whether its session was ended is not known.
func (s *sessions) of(r *http.Request) (sessionID, bool, error) {
	id, ok := s.signed(r)
	if !ok {
		return id, false, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), redisTimeout)
	defer cancel()
	ended, err := s.rdb.Exists(ctx, logoutKey(id)).Result()
	if err != nil {
		return id, false, fmt.Errorf("look whether the session was ended: %w", err)
	}
	return id, ended == 0, nil
}

// signed returns the session of a cookie that we made and that has not expired.
func (s *sessions) signed(r *http.Request) (sessionID, bool) {
	var id sessionID
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return id, false
	}
	token, err := base64.RawURLEncoding.Strict().DecodeString(cookie.Value)
	if err != nil || len(token) != len(id)+8+sha256.Size {
		return id, false
	}
	text := token[:len(id)+8]
	if !hmac.Equal(s.sign(slices.Clip(text)), token) {
		return id, false
	}
	end := time.Unix(int64(binary.BigEndian.Uint64(text[len(id):])), 0) //nolint:gosec // we signed it
	if !s.now().Before(end) {
		return id, false
	}
	copy(id[:], text)
	return id, true
}

// end takes the cookie away and ends its session for every gateway.
func (s *sessions) end(w http.ResponseWriter, r *http.Request, id sessionID) error {
	http.SetCookie(w, s.cookie(r, "", -1))
	ctx, cancel := context.WithTimeout(r.Context(), redisTimeout)
	defer cancel()
	if err := s.rdb.Set(ctx, logoutKey(id), "", sessionLife).Err(); err != nil {
		return fmt.Errorf("keep the logout: %w", err)
	}
	return nil
}

// logoutKey is where Redis keeps that a session was ended. A hash: whoever reads
// Redis learns no session.
func logoutKey(id sessionID) string {
	sum := sha256.Sum256(id[:])
	return "edgepurge:logout:" + hex.EncodeToString(sum[:16])
}
