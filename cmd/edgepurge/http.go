package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// listen opens an address. Its error names the address.
func listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return nil, fmt.Errorf("listen at %s: %w", address, err)
	}
	return listener, nil
}

// How long requests may take to arrive and, at the end, to be answered.
const (
	headerWait = 10 * time.Second
	drainWait  = 5 * time.Second
)

// serve serves HTTP until ctx ends. Then it calls closing, accepts nothing more
// and waits a while for the requests in hand.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, closing func()) error {
	return serveOn(ctx, listener, &http.Server{Handler: handler, ReadHeaderTimeout: headerWait}, closing)
}

// serveOn is serve with a server whose limits are the caller's.
func serveOn(ctx context.Context, listener net.Listener, server *http.Server, closing func()) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		closing()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainWait)
		defer cancel()
		err := server.Shutdown(drain)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // they had their time
		}
		stopped <- err
	})
	err := server.Serve(listener)
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP at %s: %w", listener.Addr(), err)
	}
	return <-stopped
}

// lookWait is how long a stop waits for a part that only looks.
const lookWait = time.Second

// onlyLooks is a part that changes nothing. A stop does not wait for what it asks of a
// Redis that does not answer: that ends when the client is closed.
func onlyLooks(part func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ended := make(chan error, 1)
		go func() { ended <- part(ctx) }()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(lookWait):
			return nil
		}
	}
}

// together runs parts of a process. When one ends, for whatever reason, the
// others are told to; it returns when all have.
func together(ctx context.Context, parts ...func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, len(parts))
	for _, part := range parts {
		go func() { ended <- part(ctx) }()
	}
	var faults []error
	for range parts {
		faults = append(faults, <-ended)
		stop()
	}
	return errors.Join(faults...)
}
