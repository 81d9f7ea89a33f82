// Command edgepurge purges Vercel's edge cache from a queue: it runs the
// worker, asks for purges, and shows and mends what waits, what is held and
// what is dead. Every subcommand has a file of its own.
package main

import (
	"os"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/early"
)

func main() {
	redis.SetLogger(silence{}) // the process's, so not for run to set
	os.Exit(run(early.Context(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}
