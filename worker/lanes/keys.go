package lanes

import (
	"strconv"
	"strings"

	"github.com/edgepurge/edgepurge/tasks"
)

// Keys that belong to no account.
const (
	// KeyDue is a sorted set: account → when to look at it next (ms). A hint only.
	KeyDue = "edgepurge:due"
	// ChannelWake carries the name of an account that has something to do earlier than thought.
	ChannelWake = "edgepurge:wake"
	// KeyCalls is a list: the last RecentCalls calls as JSON, newest first. For people only.
	KeyCalls = "edgepurge:calls"
)

// KeyLetters is a hash: the dead letters of a queue by id, without their payloads, as
// JSON. It is derived from asynq's archive, in whose slot it lies.
func KeyLetters(queue string) string { return "edgepurge:{" + queue + "}:letters" }

// KeyKept is a hash: how many deliveries of a webhook are kept as dead letters of a
// queue, and how many bytes they have.
func KeyKept(queue string) string { return "edgepurge:{" + queue + "}:kept" }

// keyRates is a hash for each minute: second → calls, failed ones and items, for
// people only. It expires.
func keyRates(unix int64) string { return "edgepurge:rates:" + strconv.FormatInt(unix/60, 10) }

// keyUnknown says since when no worker has known a task. It expires.
func keyUnknown(task string) string { return "edgepurge:unknown:" + task }

// keys builds the names of everything that Redis holds for one account. Its
// braces put all of them into one Redis Cluster slot.
type keys struct{ prefix string }

func keysOf(account string) keys { return keys{"edgepurge:{" + account + "}:"} }

func (k keys) lanes() string                  { return k.prefix + "lanes" }
func (k keys) ready(p tasks.Priority) string  { return k.prefix + "ready:" + string(p) }
func (k keys) turn(p tasks.Priority) string   { return k.prefix + "turn:" + string(p) }
func (k keys) order() string                  { return k.prefix + "order" }
func (k keys) ahead() string                  { return k.prefix + "ahead" }
func (k keys) pending(l tasks.Lane) string    { return k.prefix + "pending:" + l.ID() }
func (k keys) again(l tasks.Lane) string      { return k.prefix + "again:" + l.ID() }
func (k keys) inflight() string               { return k.prefix + "inflight" }
func (k keys) batches() string                { return k.prefix + "inflight:batch" }
func (k keys) budget() string                 { return k.prefix + "budget" }
func (k keys) booked() string                 { return k.prefix + "budget:booked" }
func (k keys) bookedUrgent() string           { return k.prefix + "budget:booked:urgent" }
func (k keys) state() string                  { return k.prefix + "budget:state" }
func (k keys) spread(project string) string   { return k.prefix + "spread:" + project }
func (k keys) hold() string                   { return k.prefix + "hold" }
func (k keys) holdsEnded() string             { return k.prefix + "hold:ended" }
func (k keys) served() string                 { return k.prefix + "served" }
func (k keys) superseded() string             { return k.prefix + "superseded" }
func (k keys) verdicts() string               { return k.prefix + "verdicts" }
func (k keys) absorbed(request string) string { return k.prefix + "absorbed:" + request }
func (k keys) collapsed(id string) string     { return k.prefix + "collapsed:" + id }

// receipts is of a lane at all its priorities: an item is pending in one of them only.
func (k keys) receipts(l tasks.Lane) string { return k.prefix + "receipts:" + l.Family() }

// origins is of a lane at all its priorities, as receipts.
func (k keys) origins(l tasks.Lane) string { return k.prefix + "origins:" + l.Family() }

// failed is of a lane at all its priorities, as receipts.
func (k keys) failed(l tasks.Lane) string { return k.prefix + "failed:" + l.Family() }

// carried is what a batch carries of receipts; the halves of a split share their parent's.
func (k keys) carried(batch string) string {
	root, _, _ := strings.Cut(batch, ".")
	return k.prefix + "carried:" + root
}

// lines lists what says in which order lanes are served, but ready: the turns of projects
// at each priority, most urgent first, the lines of their lanes and what may pass them.
func (k keys) lines() []string {
	all := make([]string, 0, 6)
	for _, p := range tasks.Priorities {
		all = append(all, k.turn(p))
	}
	return append(all, k.order(), k.ahead(), k.served())
}

// family lists ready, pending and again of a lane at each priority, most urgent first.
func (k keys) family(l tasks.Lane) []string {
	all := make([]string, 0, 9)
	for _, p := range tasks.Priorities {
		all = append(all, k.ready(p))
	}
	for _, p := range tasks.Priorities {
		all = append(all, k.pending(l.With(p)))
	}
	for _, p := range tasks.Priorities {
		all = append(all, k.again(l.With(p)))
	}
	return all
}
