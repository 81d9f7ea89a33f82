// Package tasks is the wire contract between producers and workers: what a
// purge request and a purge call are, which items they may hold, how they are
// written into Redis and which lane an item travels in.
//
// It imports the standard library only, so that a program which merely
// enqueues does not pull in a worker. It does not talk to Redis or to Vercel.
package tasks

// Names of asynq queues and task types. The prefix keeps them apart from other
// asynq programs in the same Redis; a colon would break the routes of asynq's
// web UI.
const (
	QueueIntake = "edgepurge-intake" // purge:request, priority normal and bulk
	QueueUrgent = "edgepurge-urgent" // purge:request, priority urgent
	QueueCalls  = "edgepurge-calls"  // purge:call: retries, splits and dead letters

	// QueueDeliveries holds webhook deliveries that could not be mapped, archived
	// from the start; no worker serves it.
	QueueDeliveries = "edgepurge-deliveries"

	TypeRequest  = "purge:request"
	TypeCall     = "purge:call"
	TypeDelivery = "purge:delivery"
)

// ChannelQueued is where whoever stored a task that can run says so, with an
// empty message. It is a hint: without it a worker sees the task half a second later.
const ChannelQueued = "edgepurge:queued"

// Version is the wire version that this package writes. It reads every older
// version and refuses newer ones with ErrVersion.
const Version = 1
