package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/worker"
)

// What a program uses when it has a process to itself is measured in a child:
// this test binary, started again. It answers each line on its standard input
// with its usage so far and ends with its input, hence with its parent.
const (
	envChild      = "EDGEPURGE_BENCH_CHILD"
	envChildRedis = "EDGEPURGE_BENCH_CHILD_REDIS"
	envChildAPI   = "EDGEPURGE_BENCH_CHILD_API"

	childWorker    = "worker"
	childUnlimited = "worker without a budget"
	childObvious   = "obvious"
)

// usage is what a process has used since it started.
type usage struct {
	PID      int
	CPU      time.Duration
	Commands int64 // to Redis; those inside scripts are not among them
}

// child runs in the child process.
func child(program string) error {
	c := config(os.Getenv(envChildAPI))
	rdb, err := redisurl.Open(os.Getenv(envChildRedis), c.Concurrency+10)
	if err != nil {
		return err
	}
	count := &counter{}
	rdb.AddHook(count)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	switch program {
	case childObvious:
		s, h := newObvious(rdb, os.Getenv(envChildAPI))
		if err := s.Start(h); err != nil {
			return err
		}
	case childWorker, childUnlimited:
		if program == childUnlimited {
			c.Accounts[0].Budget.Calls, c.Accounts[0].Budget.Reserve = 0, 0
		}
		w, err := worker.New(c, worker.Options{Redis: rdb, Log: zerolog.New(io.Discard)})
		if err != nil {
			return err
		}
		go func() { _ = w.Run(ctx) }()
	default:
		return fmt.Errorf("unknown program %q", program)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		cpu, err := processorTime()
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(usage{PID: os.Getpid(), CPU: cpu, Commands: count.n.Load()}); err != nil {
			return err
		}
	}
	return nil
}

// processorTime is how much of it this process has used.
func processorTime() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// child starts a program in a process of its own and returns how to ask it for
// its usage.
func (r *rig) child(program, redisURL string) func() usage {
	self, err := os.Executable()
	require.NoError(r.tb, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envChild+"="+program, envChildRedis+"="+redisURL, envChildAPI+"="+r.url)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(r.tb, err)
	out, err := cmd.StdoutPipe()
	require.NoError(r.tb, err)
	require.NoError(r.tb, cmd.Start())
	r.stops = append(r.stops, func() {
		require.NoError(r.tb, in.Close())
		require.NoError(r.tb, cmd.Wait())
	})
	answers := json.NewDecoder(out)
	return func() (u usage) {
		_, err := in.Write([]byte("\n"))
		require.NoError(r.tb, errors.Join(err, answers.Decode(&u)))
		return u
	}
}

// counter counts the commands of a client.
type counter struct{ n atomic.Int64 }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}
