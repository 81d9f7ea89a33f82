package compare

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/worker"
)

// envChild makes this test binary one program of a contender: its value is a
// role as JSON. bullmq/program.mjs is told by the same variable.
const envChild = "EDGEPURGE_COMPARE_CHILD"

const (
	roleAsk  = "ask"
	roleWork = "work"
)

// role is what a child is.
type role struct {
	Contender string `json:"contender"`
	Role      string `json:"role"`
	Redis     string `json:"redis"`
	// API is the base of the API's URL for edgepurge, else the endpoint.
	API string `json:"api"`
	// Calls in PerMillis is the rate limit that a worker keeps; 0: none.
	Calls     int   `json:"calls"`
	PerMillis int64 `json:"perMillis"`
	// Alone says that a tag need not wait for company, where it would.
	Alone bool `json:"alone"`
	// Hold says that what is taken in is not purged, where that are two things.
	Hold bool `json:"hold"`
}

// question is a line to a child: tags to ask for, or none for a look.
type question struct {
	N    int      `json:"n"`
	Tags []string `json:"tags,omitempty"`
}

// answer is the child's line with the question's number.
type answer struct {
	N     int    `json:"n"`
	Error string `json:"error,omitempty"`
	look
}

// look is what a child sees: the processor time it used, and what waits in Redis
// or is under way: queued tasks, and tags that are pending in another form.
type look struct {
	CPUMicros int64 `json:"cpuMicros"`
	Tasks     int   `json:"tasks"`
	Pending   int   `json:"pending"`
}

// child runs in the child process. It ends with its input, hence with its parent.
func child(text string) error {
	signal.Ignore(os.Interrupt) // the one who started it decides on its end
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	all := append([]contender{edgepurge}, others...)
	i := slices.IndexFunc(all, func(c contender) bool { return c.key == r.Contender })
	if i < 0 {
		return fmt.Errorf("there is no contender %q", r.Contender)
	}
	rdb, err := redisurl.Open(r.Redis, worker.DefaultConfig().Concurrency+10) // as `edgepurge worker` does
	if err != nil {
		return err
	}
	ask := func(context.Context, []string) error { return errors.New("this is a worker") }
	if r.Role == roleAsk {
		ask, err = all[i].asks(rdb)
	} else {
		err = all[i].works(rdb, r)
	}
	if err != nil {
		return err
	}
	return answerLines(func(q question) (look, error) {
		if len(q.Tags) > 0 {
			return look{}, ask(context.Background(), q.Tags)
		}
		return all[i].look(rdb)
	})
}

// answerLines answers each line on its own, until there are no more.
func answerLines(answerTo func(question) (look, error)) error {
	var mu sync.Mutex
	write := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		go func() {
			a := answer{N: q.N}
			var err error
			if a.look, err = answerTo(q); err != nil {
				a.Error = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			_ = write.Encode(a) // nobody reads any more: the input ends as well
		}()
	}
	return lines.Err()
}

func (c contender) look(rdb redis.UniversalClient) (l look, err error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return l, err
	}
	l.CPUMicros = (u.Utime.Nano() + u.Stime.Nano()) / 1000
	if c.pending != nil {
		if l.Pending, err = c.pending(rdb); err != nil {
			return l, err
		}
	}
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	queues, err := inspector.Queues()
	if err != nil {
		return l, err
	}
	for _, q := range queues {
		info, err := inspector.GetQueueInfo(q)
		if err != nil {
			return l, err
		}
		l.Tasks += info.Pending + info.Active + info.Scheduled + info.Retry + info.Aggregating
	}
	return l, nil
}
