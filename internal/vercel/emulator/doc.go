// Package emulator is Vercel's purge API as an http.Handler: its schema, its
// authorization, a rate limit, the answers that its documentation shows and, on
// demand, every way it can fail. It keeps a journal of the calls, so that a test
// can say what really reached the far side of the wire.
//
// It caches nothing and purges nothing: that a call was "applied" is a note in
// the journal. Where Vercel's behaviour is not known it is strict, so that what
// passes here has the better chance there.
//
// The order of a call: route (404, 405) · outage (503) · token (403) · rate
// limit (429, not counted) · request body · faults before the effect · query and
// schema (400) · project (404, 410) · poison (400) · effect · faults after it.
//
// Besides the API it serves its own controls under /_emulator/, without a token:
//
//	GET    /_emulator/calls?since=N&limit=M   the journal from call N+1 on
//	DELETE /_emulator/calls                   empty the journal and the counts
//	GET    /_emulator/stats                   counts
//	GET    /_emulator/faults                  and PUT: what goes wrong from now on
//	GET    /_emulator/limit                   and PUT: the rate limit
package emulator
