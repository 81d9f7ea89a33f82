package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// output is where results go. It remembers the first write that failed, so that no
// command has to look at each: what prints to a full disk must not seem to succeed.
// (A reader that went away ends the process by SIGPIPE.)
type output struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

var _ io.Writer = (*output)(nil)

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.err == nil {
			o.err = err
		}
	}
	return n, err
}

// Fd tells what the output is, for isTerminal.
func (o *output) Fd() uintptr {
	if f, ok := o.w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

// failed says what went wrong, or returns nil.
func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		return nil
	}
	err := o.err
	if inner, ok := errors.AsType[*os.PathError](err); ok { // "write /dev/stdout: …"
		err = inner.Err
	}
	return fmt.Errorf("write to stdout: %w: the output is incomplete", err)
}
