package queues

// The keys and fields of asynq v0.26, for what its inspector cannot do: count
// without MEMORY, and change a task only in the state that was seen.

// Key names a structure of a queue: "pending" and "active" are lists,
// "scheduled", "retry", "archived" and "completed" sorted sets, "paused" a string.
func Key(queue, what string) string { return "asynq:{" + queue + "}:" + what }

// TaskKey names the hash of a task.
func TaskKey(queue, id string) string { return Key(queue, "t:"+id) }
