package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/worker"
)

// anyPort lets the kernel choose; nobody but this machine gets in.
const anyPort = "127.0.0.1:0"

// parts is what demo and dev run in one process. What was started last is
// closed first.
type parts struct{ closers []func() error }

func (p *parts) onClose(f func() error) { p.closers = append(p.closers, f) }

// close closes everything; a second time there is nothing left to close.
func (p *parts) close() error {
	var faults []error
	for _, closer := range slices.Backward(p.closers) {
		faults = append(faults, closer())
	}
	p.closers = nil
	return errors.Join(faults...)
}

// redis starts an embedded Redis, which forgets everything when it is closed,
// and returns its URL.
func (p *parts) redis(address string) (string, error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(address); err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return "", fmt.Errorf("start an embedded Redis at %s: %w", address, err)
	}
	p.onClose(func() error { m.Close(); return nil })
	p.onClose(expireKeys(m))
	return "redis://" + m.Addr() + "/0", nil
}

// expiry is how often an embedded Redis looks for expired keys. Its own ClockTTL
// would walk through all keys at every command, and grow ever slower.
const expiry = 100 * time.Millisecond

// expireKeys lets keys expire until the function that it returns is called.
func expireKeys(m *miniredis.Miniredis) (stop func() error) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(expiry)
		defer ticker.Stop()
		for last := time.Now(); ; {
			select {
			case <-ended:
				return
			case now := <-ticker.C:
				m.FastForward(now.Sub(last))
				last = now
			}
		}
	}()
	return func() error {
		close(ended)
		<-done
		return nil
	}
}

// client opens a pool of connections.
func (p *parts) client(url string, size int) (redis.UniversalClient, error) {
	rdb, err := redisurl.Open(url, size)
	if err != nil {
		return nil, err
	}
	p.onClose(rdb.Close)
	return rdb, nil
}

// vercel serves an emulated API, perhaps by way of another handler, and returns
// it with its URL.
func (p *parts) vercel(
	ctx context.Context, address string, c emulator.Config, by func(*emulator.Emulator) http.Handler,
) (*emulator.Emulator, string, error) {
	e, err := emulator.New(c)
	if err != nil {
		return nil, "", fmt.Errorf("emulate Vercel: %w", err)
	}
	listener, err := listen(ctx, address)
	if err != nil {
		return nil, "", fmt.Errorf("emulate Vercel: %w", err)
	}
	var handler http.Handler = e
	if by != nil {
		handler = by(e)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the workers
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, handler, func() { _ = e.Close() }) }()
	p.onClose(func() error { stop(); return <-served })
	return e, "http://" + listener.Addr().String(), nil
}

// workers starts n workers, each with connections of its own. They go on until
// they are closed, which lets the calls in hand end. One that ends earlier is
// heard of on the channel.
func (p *parts) workers(ctx context.Context, url string, n int, c worker.Config, log zerolog.Logger) (<-chan error, error) {
	crew := make([]*worker.Worker, n)
	for i := range crew {
		rdb, err := p.client(url, c.Concurrency+10+2*c.Servers)
		if err != nil {
			return nil, err
		}
		crew[i], err = worker.New(c, worker.Options{Redis: rdb, Log: log.With().Int("worker", i+1).Logger()})
		if err != nil {
			return nil, err
		}
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wait sync.WaitGroup
	ended := make(chan error, n)
	for _, w := range crew {
		wait.Go(func() { ended <- w.Run(ctx) })
	}
	p.onClose(func() error {
		stop()
		wait.Wait()
		close(ended)
		var faults []error
		for err := range ended {
			faults = append(faults, err)
		}
		return errors.Join(faults...)
	})
	return ended, nil
}
