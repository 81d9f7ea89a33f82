// Package bench holds the benchmarks of the whole pipeline: a private
// redis-server, an API that answers at once, and beside edgepurge the obvious
// program (one asynq task a tag, one call a tag, concurrency 10), so that each
// figure is a ratio from one run. `make bench` runs them.
//
// It holds no code that the program uses.
package bench
