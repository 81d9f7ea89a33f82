package lanes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/tasks"
)

// Ready is a lane that may be served.
type Ready struct {
	Lane tasks.Lane
	// Since is when it became ready, or was last served.
	Since time.Time
	// ProjectServed is when any lane of its project was last served; zero: never.
	ProjectServed time.Time
}

// View is what Peek saw of an account.
type View struct {
	Now   time.Time // by Redis
	Ready []Ready   // earliest first within each priority, urgent first
	Next  time.Time // when the next lane becomes ready; zero: none is waiting
	Held  bool      // a hold stands, of the account or of a project
	// Failed is the project whose call failed last while the account is held: a probe
	// had better be of another one. Empty: the account is not held.
	Failed string
	// Waits tells that lanes wait, be it where an older version of the worker left them
	// and Peek does not look: see Survey.
	Waits bool
	// InFlight says that calls are under way: if their workers die, their items come back.
	InFlight bool
}

// Idle reports whether nothing of the account is pending, in flight or held.
func (v View) Idle() bool {
	return len(v.Ready) == 0 && v.Next.IsZero() && !v.Held && !v.Waits && !v.InFlight
}

// One Peek reads the ready lanes of so many projects a priority, those whose turn came
// first, and so many lanes of each: the second one may go while a look at the first is
// not done yet. A project's other lanes wait behind these two.
const (
	peekProjects = 128
	peekLanes    = 2
)

// Peek reads which lanes of an account may be served: of each project the first in line.
// Its cost does not grow with the number of lanes.
func (l *Lanes) Peek(ctx context.Context, account string) (View, error) {
	k := keysOf(account)
	names := []string{k.ready(tasks.Urgent), k.ready(tasks.Normal), k.ready(tasks.Bulk)}
	names = append(append(names, k.lines()...), k.hold(), k.inflight())
	reply, err := peekScript.Run(ctx, l.rdb, names, peekProjects, peekLanes).Slice()
	if err != nil {
		return View{}, fmt.Errorf("peek at account %s: %w", account, err)
	}
	view := View{
		Now: millis(reply[0]), Next: millis(reply[1]), Held: integer(reply[3]) == 1, Waits: integer(reply[5]) > 0,
		InFlight: integer(reply[6]) == 1,
	}
	if text, _ := reply[4].(string); text != "" {
		h, err := decodeHold(ScopeAccount, text)
		if err != nil {
			return View{}, fmt.Errorf("peek at account %s: read its hold: %w", account, err)
		}
		view.Failed = h.Project
	}
	found, _ := reply[2].([]any)
	for _, f := range found {
		row, _ := f.([]any)
		id, _ := row[0].(string)
		lane, err := tasks.ParseLane(id)
		if err != nil {
			return View{}, fmt.Errorf("peek at account %s: %w", account, err)
		}
		view.Ready = append(view.Ready, Ready{Lane: lane, Since: millis(row[1]), ProjectServed: millis(row[2])})
	}
	return view, nil
}

// Refusal says why a claim or an attempt may not be made now.
type Refusal string

// The refusals. Those of the account hold for all its lanes.
const (
	RefusedBudget      Refusal = "budget"       // account: the window is full
	RefusedPaused      Refusal = "paused"       // account: Vercel answered 429
	RefusedHeld        Refusal = "held"         // account (a claim) or project (an attempt)
	RefusedInFlight    Refusal = "in_flight"    // account: enough calls are under way
	RefusedProjectHeld Refusal = "project_held" // lane
	RefusedSpread      Refusal = "spread"       // lane
	RefusedLinger      Refusal = "linger"       // lane
	RefusedEmpty       Refusal = "empty"        // lane
	Superseded         Refusal = "superseded"   // a batch whose items went back to their lane
)

// OfAccount reports whether the refusal holds for every lane of the account.
// An urgent lane may still pass where another was refused for the budget.
func (r Refusal) OfAccount() bool {
	return r == RefusedBudget || r == RefusedPaused || r == RefusedHeld || r == RefusedInFlight
}

// LeavesLine reports whether the claim moved the lane back in the line of its project, or
// out of it, so that Peek shows another one next.
func (r Refusal) LeavesLine() bool { return r == RefusedEmpty || r == RefusedLinger }

// Batch is what one call carries, as it lies in Redis under its lease.
type Batch struct {
	ID    string
	Lane  tasks.Lane
	Items []string
	// DeadlineSeconds is what the call sends; it differs from the lane's when staggered.
	DeadlineSeconds int
	ClaimedAt       time.Time
	Due             time.Time // of its oldest item
	// Attempt is the number of the call that the batch is leased for, from 1: its items
	// failed Attempt - 1 times before, all of them equally often.
	Attempt  int
	Terms    Terms   // what each item waited with
	Probe    bool    // it looks whether the cause of a hold is gone
	Adapting bool    // Adapt must hear of its success
	Tracked  bool    // Settle must hear of its end
	Origins  Origins // who waits for the items
	// noted is when the claim noted the second purges that the rebounds ask for; zero: at
	// ClaimedAt, which of a later attempt is when that was let go.
	noted time.Time
}

// Claim is the answer to Claim: a batch, or why there is none and when to ask again.
type Claim struct {
	Batch   *Batch
	Refused Refusal
	Wait    time.Duration // from now by Redis; with RefusedEmpty it means nothing
}

// Claim takes the oldest due items of a lane that fit one call, if budget,
// holds, spread and linger allow, and leases them under the batch id. A second
// Claim with the same id answers with the same batch while it is leased.
func (l *Lanes) Claim(ctx context.Context, pace Pace, lane tasks.Lane, batch string) (Claim, error) {
	names, args, err := claimOf(pace, lane, batch)
	if err != nil {
		return Claim{}, err
	}
	return answerOf(claimScript.Run(ctx, l.rdb, names, args...), lane, batch)
}

// FinishAndClaim is Finish of a call that succeeded, was no probe and is not
// tracked (Settle comes first), and Claim, in one exchange with Redis. With an
// error either may have failed, and if there is a batch in spite of it, that one
// is leased and Finish was not done.
func (l *Lanes) FinishAndClaim(ctx context.Context, pace Pace, done Batch, attempt int, lane tasks.Lane, batch string) (Claim, error) {
	names, args, err := claimOf(pace, lane, batch)
	if err != nil {
		return Claim{}, err
	}
	var finished, claimed *redis.Cmd
	_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		keys, values := finishOf(pace.Account, done, attempt, true)
		finished = finishScript.EvalSha(ctx, p, keys, values...)
		claimed = claimScript.EvalSha(ctx, p, names, args...)
		return nil
	})
	if redis.HasErrorPrefix(err, "NOSCRIPT") { // Redis was restarted: these two load the scripts
		if _, err := l.Finish(ctx, pace.Account, done, attempt, true); err != nil {
			return Claim{}, err
		}
		return l.Claim(ctx, pace, lane, batch)
	}
	claim, err := answerOf(claimed, lane, batch)
	if finished.Err() != nil {
		err = errors.Join(fmt.Errorf("finish batch %s: %w", done.ID, finished.Err()), err)
	}
	return claim, err
}

// claimOf returns the keys and arguments of a claim.
func claimOf(pace Pace, lane tasks.Lane, batch string) (names []string, args []any, err error) {
	settings, err := pace.encode(lane)
	if err != nil {
		return nil, nil, fmt.Errorf("claim from lane %s: %w", lane.ID(), err)
	}
	k := keysOf(pace.Account)
	names = []string{
		k.lanes(), k.ready(lane.Priority), k.pending(lane), k.again(lane), k.inflight(), k.batches(),
		k.budget(), k.state(), k.spread(lane.Project), k.hold(), k.served(), k.booked(), k.superseded(),
		k.receipts(lane), k.carried(batch), k.origins(lane), k.failed(lane), k.turn(lane.Priority), k.order(), k.ahead(),
	}
	if lane.Priority == tasks.Urgent {
		// Urgent items wait for no bookings but those of urgent halves.
		names[11] = k.bookedUrgent()
	}
	return names, []any{settings, lane.Project, rank(lane.Priority), lane.ID(), batch}, nil
}

// answerOf reads what a claim answered.
func answerOf(cmd *redis.Cmd, lane tasks.Lane, batch string) (Claim, error) {
	reply, err := cmd.Slice()
	if err != nil {
		return Claim{}, fmt.Errorf("claim from lane %s: %w", lane.ID(), err)
	}
	switch reply[0] {
	case "refused":
		return Claim{Refused: refusal(reply[1]), Wait: waitOf(reply[2], reply[3])}, nil
	case "claimed before":
		text, _ := reply[1].(string)
		b, err := decodeBatch(batch, text)
		return Claim{Batch: b}, err
	}
	items := texts(reply[1])
	return Claim{Batch: &Batch{
		ID: batch, Lane: lane, Items: items, DeadlineSeconds: integer(reply[2]),
		ClaimedAt: millis(reply[3]), Due: millis(reply[4]),
		Probe: integer(reply[5]) == 1, Adapting: integer(reply[6]) == 1, Tracked: integer(reply[7]) == 1,
		Origins: originsOf(texts(reply[8]), integers(reply[9]), len(items)),
		Attempt: integer(reply[10]), Terms: termsOf(wireTerms{floats(integers(reply[11])), floats(integers(reply[12]))}, len(items)),
	}}, nil
}

// record is a batch as the scripts write it.
type record struct {
	Lane     string   `json:"lane"`
	Items    []string `json:"items"`
	Deadline int      `json:"deadline"`
	Claimed  float64  `json:"claimed"` // cjson may write large numbers as 1.7953056e+12
	Due      float64  `json:"due"`
	Probe    bool     `json:"probe"`
	Adapting bool     `json:"adapting"`
	Tracked  bool     `json:"tracked"`
	Attempt  int      `json:"attempt"`
	Noted    float64  `json:"noted"`
	wireOrigins
	wireTerms
}

func decodeBatch(id, text string) (*Batch, error) {
	var r record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return nil, fmt.Errorf("read batch %s: %w", id, err)
	}
	lane, err := tasks.ParseLane(r.Lane)
	if err != nil {
		return nil, fmt.Errorf("read batch %s: %w", id, err)
	}
	return &Batch{
		ID: id, Lane: lane, Items: r.Items, DeadlineSeconds: r.Deadline,
		ClaimedAt: time.UnixMilli(int64(r.Claimed)), Due: time.UnixMilli(int64(r.Due)), Probe: r.Probe, Adapting: r.Adapting, Tracked: r.Tracked,
		Origins: originsOf(r.Origins, r.OriginOf, len(r.Items)), Attempt: r.Attempt, Terms: termsOf(r.wireTerms, len(r.Items)),
		noted: millis(int64(r.Noted)),
	}, nil
}
