// Package compare runs the same workloads side by side on edgepurge and on the
// other ways to queue purges: one asynq task a tag, asynq groups, asynq's
// Unique, and BullMQ with deduplication. `make compare` runs it at full size and
// prints docs/benchmarks.md's table; `go test` runs a tiny form without BullMQ,
// which shows that the contenders work and that edgepurge loses nothing.
//
// A contender is two programs in processes of their own, one that asks for
// purges and one that makes the calls, on a private redis-server. This process
// is the API: its clock takes every time, and internal/history judges.
//
// It holds no code that the program uses.
package compare
