// Command edgepurge purges Vercel's edge cache from a queue: it runs the
// worker, asks for purges, and shows and mends what waits, what is held and
// what is dead. Every subcommand has a file of its own.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal kills at once
	redis.SetLogger(silence{})   // the process's, so not for run to set
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}
