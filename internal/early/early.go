// Package early takes SIGINT and SIGTERM from the first moments of a process on.
//
// Go initializes packages in the order of their import paths, as soon as what they
// import is initialized. This one imports next to nothing, so it comes long before
// main and before what takes time. Without it a signal in the first 80 ms would kill
// the process half started, or, sent to the first process of a container, be ignored.
// Nothing but main may import it.
package early

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

var signals = received()

func received() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	return c
}

// Context returns a context that ends with the first SIGINT or SIGTERM that the process
// got, now or since it began. The second one kills at once. It is to be called once.
func Context() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-signals
		signal.Reset(syscall.SIGINT, syscall.SIGTERM)
		cancel()
	}()
	return ctx
}
