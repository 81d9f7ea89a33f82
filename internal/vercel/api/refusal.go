package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// MaxBodyBytes holds the largest valid body, 8 sources of 8192 characters each
// written as \uXXXX, and some. Vercel's own bound is not known.
const MaxBodyBytes = 1 << 20

// ContentType is that of every answer with a body.
const ContentType = "application/json; charset=utf-8"

// Error is the error of an envelope.
type Error struct {
	Code         string `json:"code"`
	Message      string `json:"message"`
	InvalidToken bool   `json:"invalidToken,omitempty"`
	MissingToken bool   `json:"missingToken,omitempty"`
	Limit        *Limit `json:"limit,omitempty"`
}

// Limit is the limit object of a 429.
type Limit struct {
	Remaining int   `json:"remaining"`
	Reset     int64 `json:"reset"`
	ResetMs   int64 `json:"resetMs"`
	Total     int   `json:"total"`
}

// Envelope is the body of every error.
type Envelope struct {
	Error Error `json:"error"`
}

// Refusal says why a request is not answered.
type Refusal struct {
	Status       int
	Message      string
	InvalidToken bool
	MissingToken bool
	Allow        string // the Allow header of a 405
}

// Error returns the refusal as an envelope has it.
func (r Refusal) Error() Error {
	return Error{Code: Code(r.Status), Message: r.Message, InvalidToken: r.InvalidToken, MissingToken: r.MissingToken}
}

// What Vercel refuses before it looks at a purge.
var (
	// NoEndpoint is for a path that nothing is served at.
	NoEndpoint = Refusal{Status: http.StatusNotFound, Message: "The requested API endpoint was not found"}
	// NoToken is for a request without a bearer token; Vercel was seen to answer it with a 403.
	NoToken = Refusal{Status: http.StatusForbidden, Message: "The request is missing an authentication token", MissingToken: true}
	// BadToken is for one that is unknown or expired: Vercel was seen to answer it so.
	BadToken = Refusal{Status: http.StatusForbidden, Message: "Not authorized", InvalidToken: true}
	// TooLarge is for a body above its bound.
	TooLarge = Refusal{Status: http.StatusRequestEntityTooLarge, Message: "Request body too large"}
	// Unreadable is for a body that did not arrive.
	Unreadable = Refusal{Status: http.StatusBadRequest, Message: "Request body could not be read"}
)

// WrongMethod is for a path that only another method is served at.
func WrongMethod(use string) Refusal {
	return Refusal{Status: http.StatusMethodNotAllowed, Message: "Method not allowed, use " + use, Allow: use}
}

// Invalid is for a problem with query or body.
func Invalid(problem string) Refusal {
	return Refusal{Status: http.StatusBadRequest, Message: "Invalid request: " + problem}
}

// Encode writes what this program itself has made, which cannot fail, as
// JSON.stringify does: "<" stays "<".
func Encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte("{}")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Code is Vercel's error code of a status: that of its documentation where it
// has one, else the name of the status.
func Code(status int) string {
	name := http.StatusText(status)
	if name == "" {
		return "unknown"
	}
	return strings.ReplaceAll(strings.ToLower(name), " ", "_")
}

// Bearer returns the token of an Authorization header, or false without one.
func Bearer(authorization string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}
