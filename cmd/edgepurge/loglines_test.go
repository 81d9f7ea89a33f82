package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/early"
	"github.com/edgepurge/edgepurge/internal/loglines"
)

// checkedMain is main, and ends with a failure at the first log line that has a key
// twice. It is the program of every script.
func checkedMain() {
	redis.SetLogger(silence{})
	os.Exit(run(early.Context(), os.Args[1:], os.Stdin, os.Stdout, &checkedLog{out: os.Stderr}, os.Getenv))
}

// checkedLog passes lines on. zerolog writes a line at a time.
type checkedLog struct{ out io.Writer }

func (c *checkedLog) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if key := loglines.RepeatedKey(line); key != "" {
			fmt.Fprintf(c.out, "a log line has the key %q twice: %s", key, line)
			os.Exit(97)
		}
	}
	return c.out.Write(p)
}
