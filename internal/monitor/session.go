package monitor

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	cookieName = "edgepurge_monitor"
	// sessionLife is how long a login lasts.
	sessionLife = 12 * time.Hour
	// endedMost bounds the memory of logouts; beyond it the oldest is forgotten.
	endedMost = 1000
	// keyRounds makes a stolen cookie a poor way to guess the password: some 50 ms
	// each time, and once at the start.
	keyRounds = 200_000
)

// sessions knows who is logged in without keeping a list: a cookie is an id and
// its end, signed with a key made from user and password. So several gateways
// know each other's sessions, a restart ends none, and a new password ends all.
// A logout is remembered by the process that saw it, and deletes the cookie.
type sessions struct {
	user, password [sha256.Size]byte
	key            []byte
	now            func() time.Time

	mu    sync.Mutex
	ended map[sessionID]time.Time // id → when its cookie would have ended
}

type sessionID [16]byte

func newSessions(user, password string) (*sessions, error) {
	key, err := pbkdf2.Key(sha256.New, password, []byte("edgepurge monitor session\x00"+user), keyRounds, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("make the key of the web UI's sessions: %w", err)
	}
	return &sessions{
		user: sha256.Sum256([]byte(user)), password: sha256.Sum256([]byte(password)),
		key: key, now: time.Now, ended: map[sessionID]time.Time{},
	}, nil
}

// knows compares in a time that does not depend on what is right.
func (s *sessions) knows(user, password string) bool {
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(u[:], s.user[:])&subtle.ConstantTimeCompare(p[:], s.password[:]) == 1
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

// of returns the session of a request, if it has one that runs.
func (s *sessions) of(r *http.Request) (sessionID, bool) {
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
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ended := s.ended[id]
	return id, !ended
}

// end ends a session and takes the cookie away.
func (s *sessions) end(w http.ResponseWriter, r *http.Request, id sessionID) {
	s.mu.Lock()
	now := s.now()
	oldest := id
	for other, end := range s.ended {
		if !now.Before(end) {
			delete(s.ended, other)
		} else if oldest == id || end.Before(s.ended[oldest]) {
			oldest = other
		}
	}
	if len(s.ended) >= endedMost {
		delete(s.ended, oldest)
	}
	s.ended[id] = now.Add(sessionLife)
	s.mu.Unlock()
	http.SetCookie(w, s.cookie(r, "", -1))
}
