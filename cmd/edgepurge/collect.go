package main

import "runtime/debug"

const (
	// collectAt is how far the heap of a gateway grows between two collections, in
	// percent of what is alive. Some 5 MiB are: by Go's default of 100 a busy gateway
	// would collect a hundred times a second and spend a tenth of its time on it.
	collectAt = 400
	// collectMost is the memory, in bytes, near which that no longer holds: a flood
	// of large bodies must not cost five times their size. It is well below the
	// 256 MiB that a container is given, and well above what webhooks may hold
	// unproved: a collector that cannot get below it would do nothing else.
	collectMost = 128 << 20
)

// collectLess makes a gateway's garbage collection rarer, unless its environment
// says otherwise by Go's own variables.
func (a *app) collectLess() {
	if a.getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if a.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(collectMost)
	}
}
