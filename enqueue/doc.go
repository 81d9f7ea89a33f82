// Package enqueue is the producer's side: it checks purge requests and stores
// them in Redis, where the workers find them. Its sub-packages do so over HTTP.
//
// It does not purge, and it never drops a request because a like one waits:
// that is for the workers, who alone know whether the earlier one has begun.
//
// A request that Purge accepted survives the producer; whether it survives
// Redis is a matter of Redis's persistence (appendonly yes).
package enqueue
