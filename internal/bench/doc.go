// Package bench holds the benchmarks of the whole pipeline: a private
// redis-server, the emulated API answering at once, requests from
// enqueue.Client, and beside edgepurge the obvious program (one asynq task a
// tag, one call a tag, concurrency 10). Both run in one benchmark, so that a
// figure named x-obvious is a ratio from one run and survives a loaded machine.
//
// One iteration is one whole experiment. By itself `go test -bench` runs each
// at a small size, which shows that it works and no more; `make bench` sets
// EDGEPURGE_BENCH=full for the sizes that docs/benchmarks.md speaks of.
//
// It holds no code that the program uses.
package bench
