package vercel

import "net/http"

// Cause names what is likely behind a 403, and what to do; "" for any other status.
// Vercel's own message is the same two words for all of it.
func (e *StatusError) Cause() string {
	switch {
	case e.Status != http.StatusForbidden:
		return ""
	case e.Code == "challenge_required":
		return "challenge_required asks for a recent login: log in to Vercel as the token's user, or create a new token"
	case e.MissingToken:
		return "the request arrived without a token: look for a proxy that drops the Authorization header"
	case e.InvalidToken:
		return "the token is mistyped, expired or revoked, or its user has no role in the team: create a new token as an owner or member"
	default:
		return "the token's user lacks the role (owner or member of the team), the token has expired or does not cover this team or project, " +
			"or Vercel asks for a recent login (challenge_required)"
	}
}

// Explained is Vercel's message and, of a 403, its likely cause.
func (e *StatusError) Explained() string {
	cause := e.Cause()
	switch {
	case cause == "":
		return e.Message
	case e.Message == "":
		return cause
	}
	return e.Message + " (" + cause + ")"
}
