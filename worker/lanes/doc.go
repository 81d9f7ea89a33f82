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
// # On a full Redis
//
// A Redis that has reached its maxmemory (with noeviction) refuses a script at its
// first write, if that is one that may take memory, and asks no more after it. Scripts
// that work off what is there must run all the same, or the same calls go out over and
// over: claim, acquire, finish, restore, settle, bury, collapse, release, offer, reoffer
// and give free more than they take, and hold, pause and adapt write a few bytes per
// account. They begin with a write that removes nothing. Script flags (allow-oom) say the same since Redis
// 7.0, but Redis 6.2 and miniredis do not know them. Absorb, adopt and take only take: their
// first write is one that a full Redis refuses, so they are refused as a whole.
//
// The package decides nothing about answers of the API and makes no calls.
package lanes
