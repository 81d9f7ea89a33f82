// Package lanes keeps what waits to be purged: the pending sets of every lane,
// the budget, the spread, the leases of calls under way and the holds, all in
// Redis and changed only by atomic Lua scripts, so that any number of workers
// share them without a leader.
//
// # What the scripts promise
//
// An item of a lane's pending set is an item that no call has been started
// for. So a request may be dropped as a duplicate exactly while its twin is
// pending: absorb and claim are each one script, and between them there is no
// third state.
//
//	absorb ──▶ pending ──claim──▶ inflight (lease) ──finish──▶ gone
//	              ▲                   │   │
//	              │    lease ended,   │   └─ purge:call in asynq ─acquire─▶ inflight
//	              └──── 429, refused ─┘                           │
//	              ▲                                               │
//	              └───────────────── restore ◀────────────────────┘
//
// Every script is idempotent by an id of its caller's (request id, batch id),
// because go-redis sends a script again when its reply was lost. Every script
// declares its keys and takes the time from Redis.
//
// The package decides nothing about answers of the API and makes no calls.
package lanes
