package queues

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/encoding/protowire"
)

// Task is what asynq keeps of a task, with at most ListedPayload bytes of its payload.
type Task struct {
	Queue, ID, Type string
	Payload         []byte
	Clipped         bool // there is more of the payload
	Bytes           int  // of all that asynq keeps of it; -1: nothing is left of it
	Retried         int
	LastErr         string
	LastFailedAt    time.Time // zero: it never failed
}

const (
	tasksAtOnce = 100     // keys of one script
	bytesAtOnce = 4 << 20 // that one script reads, but for the last task
)

// ReadTasks reads tasks of a queue, some at a time: each time it hands on those that
// it has, in the order of ids. It ends with the error of handle.
func ReadTasks(ctx context.Context, rdb redis.UniversalClient, queue string, ids []string, handle func([]Task) error) error {
	for len(ids) > 0 {
		some := ids[:min(len(ids), tasksAtOnce)]
		keys := make([]string, len(some))
		for i, id := range some {
			keys[i] = TaskKey(queue, id)
		}
		answers, err := tasksScript.Run(ctx, rdb, keys, ListedPayload, bytesAtOnce).Slice()
		if err != nil {
			return fmt.Errorf("read tasks of %s: %w", queue, err)
		}
		if len(answers) == 0 || len(answers) > len(some) {
			return fmt.Errorf("read tasks of %s: Redis answered %d of %d", queue, len(answers), len(some))
		}
		found := make([]Task, len(answers))
		for i, a := range answers {
			found[i] = taskOf(queue, some[i], a)
		}
		if err := handle(found); err != nil {
			return err
		}
		ids = ids[len(answers):]
	}
	return nil
}

// taskOf reads an answer of the script; of what cannot be read, the id is left.
func taskOf(queue, id string, answer any) Task {
	t := Task{Queue: queue, ID: id, Bytes: -1}
	pair, _ := answer.([]any)
	if len(pair) != 2 {
		return t
	}
	text, _ := pair[0].(string)
	size, _ := pair[1].(int64)
	t.Bytes = int(size)
	_ = t.decode([]byte(text))
	t.Clipped = len(text) < t.Bytes
	return t
}

var errDamaged = errors.New("the task's data is damaged")

// decode reads asynq v0.26's message; fields that are of no interest are left out.
func (t *Task) decode(msg []byte) error {
	for len(msg) > 0 {
		field, wire, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return errDamaged
		}
		msg = msg[n:]
		var text []byte
		var number uint64
		switch wire {
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(msg)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(msg)
		default:
			n = protowire.ConsumeFieldValue(field, wire, msg)
		}
		if n < 0 {
			return errDamaged
		}
		msg = msg[n:]
		switch int(field) {
		case 1:
			t.Type = string(text)
		case 2:
			t.Payload = text
		case 6:
			t.Retried = int(int32(number))
		case 7:
			t.LastErr = string(text)
		case 11:
			if number > 0 {
				t.LastFailedAt = time.Unix(int64(number), 0)
			}
		}
	}
	return nil
}
