package lanes

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// ScopeAccount is the scope of a hold that stops a whole account.
const ScopeAccount = "account"

// ScopeProject is the scope of a hold that stops one project.
func ScopeProject(project string) string { return "project:" + project }

// HeldProject is the project that a scope stops; false if it stops an account.
func HeldProject(scope string) (project string, ok bool) {
	return strings.CutPrefix(scope, ScopeProject(""))
}

// How long a held account or project waits for its next probe.
const (
	firstProbe   = time.Minute
	longestProbe = 15 * time.Minute
)

// Hold is an account or a project that is paused because its calls cannot succeed.
type Hold struct {
	Scope  string        `json:"scope"`
	Reason string        `json:"reason"`
	Detail string        `json:"detail"`
	Since  time.Time     `json:"since"`
	Next   time.Time     `json:"next_probe"`
	Step   time.Duration `json:"-"`
	// Project is whose call failed last; empty: not known.
	Project string `json:"-"`
}

type wireHold struct {
	Reason string  `json:"reason"`
	Detail string  `json:"detail"`
	Since  float64 `json:"since"`
	Next   float64 `json:"next"`
	Step   float64 `json:"step"`
	// Project is whose call failed last; workers before 0.2 did not write it.
	Project string `json:"project"`
}

// ReasonForbidden is the reason of a project's hold that may concern its whole
// account: Hold holds that too once a second project is refused for this reason and
// no call has succeeded in between.
const ReasonForbidden = "forbidden"

// Held is the answer to Hold.
type Held struct {
	// Created says that this call made a hold; false: there was one already, or the
	// call began before the last one was released or lifted.
	Created bool
	// Scope is what stands still: the one that was asked for, or the account.
	Scope string
}

// Hold pauses a scope because a call with the batch failed: what is pending stays
// pending. A failed probe doubles the time to the next one, from 1 up to 15 minutes.
// The probe is noted as when the account is due. A second Hold for the same attempt
// answers as the first did.
func (l *Lanes) Hold(ctx context.Context, account, scope, reason, detail string, b Batch, attempt int) (Held, error) {
	k := keysOf(account)
	reply, err := holdScript.Run(ctx, l.rdb, []string{k.hold(), k.holdsEnded()},
		scope, reason, detail, flag(b.Probe), firstProbe.Milliseconds(), longestProbe.Milliseconds(),
		fmt.Sprintf("%s#%d", b.ID, attempt), b.Lane.Project, b.ClaimedAt.UnixMilli()).Slice()
	if err != nil {
		return Held{}, fmt.Errorf("hold %s of account %s: %w", scope, account, err)
	}
	text, _ := reply[1].(string)
	held := Held{Created: reply[0] == "created"}
	held.Scope, _ = reply[2].(string)
	if text == "" {
		return held, nil // too late to say anything
	}
	h, err := decodeHold(held.Scope, text)
	if err != nil {
		return Held{}, fmt.Errorf("hold %s of account %s: %w", scope, account, err)
	}
	l.hint(ctx, account, h.Next)
	return held, nil
}

// Holds lists the holds of an account.
func (l *Lanes) Holds(ctx context.Context, account string) ([]Hold, error) {
	all, err := l.rdb.HGetAll(ctx, keysOf(account).hold()).Result()
	if err != nil {
		return nil, fmt.Errorf("list the holds of account %s: %w", account, err)
	}
	holds := make([]Hold, 0, len(all))
	for scope, text := range all {
		h, err := decodeHold(scope, text)
		if err != nil {
			return nil, fmt.Errorf("read hold %s of account %s: %w", scope, account, err)
		}
		holds = append(holds, h)
	}
	return holds, nil
}

func decodeHold(scope, text string) (Hold, error) {
	var w wireHold
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return Hold{}, err
	}
	return Hold{
		Scope: scope, Reason: w.Reason, Detail: w.Detail,
		Since: time.UnixMilli(int64(w.Since)), Next: time.UnixMilli(int64(w.Next)),
		Step: time.Duration(w.Step) * time.Millisecond, Project: w.Project,
	}, nil
}

// Release ends a hold by hand and wakes the workers. It reports whether there was one.
// The failure of a call that began before makes no new hold.
func (l *Lanes) Release(ctx context.Context, account, scope string) (bool, error) {
	k := keysOf(account)
	n, err := releaseScript.Run(ctx, l.rdb, []string{k.hold(), k.holdsEnded()}, scope).Int()
	if err != nil {
		return false, fmt.Errorf("release %s of account %s: %w", scope, account, err)
	}
	if n == 0 {
		return false, nil
	}
	return true, l.offerHeld(ctx, account, scope)
}

// offerHeld lets the lanes that waited for a hold of their project be looked at now.
func (l *Lanes) offerHeld(ctx context.Context, account, scope string) error {
	if scope != ScopeAccount {
		if err := l.offerProject(ctx, keysOf(account), scope); err != nil {
			return fmt.Errorf("release %s of account %s: %w", scope, account, err)
		}
	}
	return l.wake(ctx, account)
}

// offerMost bounds the lanes that one script offers, and with it how long it keeps Redis busy.
const offerMost = 1000

func (l *Lanes) offerProject(ctx context.Context, k keys, scope string) error {
	ids, err := l.rdb.HKeys(ctx, k.lanes()).Result()
	if err != nil {
		return err
	}
	project, _ := HeldProject(scope)
	var args []any
	for _, id := range ids {
		if strings.HasPrefix(id, project+":") {
			args = append(args, id)
		}
	}
	names := []string{k.turn(tasks.Urgent), k.turn(tasks.Normal), k.turn(tasks.Bulk), k.ahead()}
	for some := range slices.Chunk(args, offerMost) {
		if err := reofferScript.Run(ctx, l.rdb, names, append([]any{project}, some...)...).Err(); err != nil {
			return err
		}
	}
	return nil
}
