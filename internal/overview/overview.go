package overview

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/worker/lanes"
)

// Settings are what a configuration says of an account.
type Settings struct {
	Account string
	// Calls in any window of Per; 0 is unlimited. Reserve of them are for urgent items.
	Calls   int
	Per     time.Duration
	Reserve int
	// InFlight bounds the calls under way at once.
	InFlight int
}

// Overview is one look at everything. Its parts are read one after the other.
type Overview struct {
	Now      time.Time // by Redis
	Accounts []Account
	Queues   []Queue
	Workers  []Worker
	// WorkersFault is why the workers could not be listed: asynq writes when it does,
	// and a Redis that refuses writes can be looked at all the same. Empty: they were.
	WorkersFault string
}

// Account is what an account has waiting and what keeps it back.
type Account struct {
	Account string `json:"account"`
	// Configured is false for an account that Redis knows and the settings do not.
	Configured  bool         `json:"configured"`
	Lanes       []Lane       `json:"lanes"`
	Pending     int64        `json:"pending"`
	InFlight    []Flight     `json:"in_flight"`
	InFlightMax int          `json:"in_flight_max"`
	Budget      Budget       `json:"budget"`
	PausedUntil *time.Time   `json:"paused_until,omitempty"`
	Holds       []lanes.Hold `json:"holds"` // the oldest first
}

// Budget is the running window. Calls 0 is unlimited, and Left then -1.
type Budget struct {
	Calls   int    `json:"calls"`
	PerText string `json:"per"`
	Reserve int    `json:"reserve"`
	Used    int64  `json:"used"`
	Left    int64  `json:"left"`
	Learned int    `json:"learned,omitempty"` // what answers taught, if less than Calls
	// Inferred says that Learned is concluded from 429s that told no limit; else Vercel said it.
	Inferred bool          `json:"inferred,omitempty"`
	Slowed   int           `json:"slowed,omitempty"` // what it may do while the API fails, or after that
	Per      time.Duration `json:"-"`
}

// Lane is what waits in one lane.
type Lane struct {
	Lane    string    `json:"lane"` // its id
	Pending int64     `json:"pending"`
	Again   int64     `json:"again"`
	Oldest  time.Time `json:"oldest"` // due time of the oldest item; it may lie ahead
	ReadyAt time.Time `json:"ready_at"`
}

// Flight is a call under way.
type Flight struct {
	Batch string `json:"batch"`
	Lane  string `json:"lane"`
	Items int    `json:"items"`
}

// Read reads all of it: the accounts of the settings and then those that only
// Redis knows, which rest stands for.
func Read(ctx context.Context, rdb redis.UniversalClient, accounts []Settings, rest Settings) (*Overview, error) {
	o, err := ReadAccounts(ctx, rdb, accounts, rest)
	if err != nil {
		return nil, err
	}
	if o.Queues, err = ReadQueues(ctx, rdb); err != nil {
		return nil, err
	}
	o.Workers, err = ReadWorkers(asynq.NewInspectorFromRedisClient(rdb))
	switch {
	case refusesWrites(err):
		o.Workers, o.WorkersFault = []Worker{}, "Redis refuses writes: "+err.Error()
	case err != nil:
		return nil, err
	}
	return o, nil
}

// ReadAccounts is Read without queues and workers.
func ReadAccounts(ctx context.Context, rdb redis.UniversalClient, accounts []Settings, rest Settings) (*Overview, error) {
	o := &Overview{}
	l := lanes.New(rdb)
	names, err := AccountNames(ctx, l, accounts)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		settings := rest
		i := slices.IndexFunc(accounts, func(s Settings) bool { return s.Account == name })
		if i >= 0 {
			settings = accounts[i]
		}
		s, err := l.Status(ctx, name, settings.Per)
		if err != nil {
			return nil, err
		}
		o.Now = s.Now.UTC()
		o.Accounts = append(o.Accounts, accountOf(name, i >= 0, settings, &s))
	}
	return o, nil
}

// refusesWrites reports whether Redis refused something because it cannot save, is
// full or is a replica. By its text: asynq keeps nothing else of an error.
func refusesWrites(err error) bool {
	return err != nil && slices.ContainsFunc([]string{"MISCONF ", "OOM ", "READONLY "}, func(code string) bool {
		return strings.Contains(err.Error(), code)
	})
}

// AccountNames lists the accounts of the settings and then those that only Redis
// knows: of an older configuration, or another worker's.
func AccountNames(ctx context.Context, l *lanes.Lanes, accounts []Settings) ([]string, error) {
	var names []string
	for _, a := range accounts {
		names = append(names, a.Account)
	}
	known, err := l.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(known)
	for _, name := range known {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func accountOf(name string, configured bool, settings Settings, s *lanes.Status) Account {
	a := Account{
		Account: name, Configured: configured, InFlightMax: settings.InFlight,
		Lanes: []Lane{}, InFlight: []Flight{}, Holds: s.Holds, Budget: BudgetOf(settings, s),
	}
	for _, lane := range s.Lanes {
		a.Pending += lane.Pending
		a.Lanes = append(a.Lanes, Lane{
			Lane: lane.Lane.ID(), Pending: lane.Pending, Again: lane.Again, Oldest: lane.Oldest.UTC(), ReadyAt: lane.ReadyAt.UTC(),
		})
	}
	for _, batch := range s.InFlight {
		a.InFlight = append(a.InFlight, Flight{Batch: batch.ID, Lane: batch.Lane.ID(), Items: len(batch.Items)})
	}
	slices.SortFunc(a.Holds, func(x, y lanes.Hold) int { return x.Since.Compare(y.Since) })
	if !s.PausedUntil.IsZero() {
		a.PausedUntil = &s.PausedUntil
	}
	return a
}

// BudgetOf is what the running window has left, by the settings or by what Vercel
// taught, whichever is less.
func BudgetOf(b Settings, s *lanes.Status) Budget {
	out := Budget{Calls: b.Calls, PerText: b.Per.String(), Per: b.Per, Reserve: b.Reserve, Used: s.Used, Left: -1}
	most := b.Calls
	if s.Learned > 0 && (most == 0 || s.Learned < most) {
		out.Learned, out.Inferred, most = s.Learned, s.Inferred, s.Learned
	}
	if s.Slowed > 0 && most > 0 && s.Slowed < most {
		out.Slowed, most = s.Slowed, s.Slowed
	}
	if most > 0 {
		out.Left = max(0, int64(most)-s.Used)
	}
	return out
}

// Taught says what the budget's limit was learned from, or "".
func (b *Budget) Taught() string {
	switch {
	case b.Learned == 0:
		return ""
	case b.Inferred:
		return fmt.Sprintf("; limited to %d, inferred from 429s", b.Learned)
	}
	return fmt.Sprintf("; Vercel said %d", b.Learned)
}

// Most is how many calls the window may hold as things stand; 0 is unlimited.
func (b *Budget) Most() int64 {
	if b.Left < 0 {
		return 0
	}
	return int64(cmp.Or(b.Slowed, b.Learned, b.Calls))
}
