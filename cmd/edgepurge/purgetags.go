package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/edgepurge/edgepurge/internal/tagfile"
	"github.com/edgepurge/edgepurge/tasks"
)

// stdinFile is the --from-file that means the standard input.
const stdinFile = "-"

// readTags reads tags from a file, one a line; - is the standard input.
// It ends with ctx, since a terminal or a pipe may never end.
func (a *app) readTags(ctx context.Context, path string) ([]tagfile.Line, error) {
	if path == "" {
		return nil, nil
	}
	type result struct {
		lines []tagfile.Line
		err   error
	}
	read := make(chan result, 1)
	go func() {
		lines, err := a.readTagsFrom(path)
		read <- result{lines, err}
	}()
	select {
	case r := <-read:
		return r.lines, r.err
	case <-ctx.Done():
		return nil, errors.New("interrupted while reading tags: nothing was done")
	}
}

func (a *app) readTagsFrom(path string) ([]tagfile.Line, error) {
	if path == stdinFile {
		return tagfile.Read(a.stdin, "the standard input")
	}
	f, err := os.Open(path) //nolint:gosec // the path is the user's own
	if err != nil {
		return nil, fmt.Errorf("read tags: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	return tagfile.Read(f, path)
}

// flagOf names the flag behind a field of a request.
func flagOf(field string) string {
	switch field {
	case "project", "target", "priority":
		return "--" + field
	case "deadline_seconds":
		return "--deadline"
	case "settle_ms":
		return "--settle"
	case "rebound_ms":
		return "--rebound"
	case "not_before":
		return "--at"
	}
	return field
}

// inFlags tells the faults of a request in terms of flags and lines of the file.
func inFlags(err error, f *purgeFlags, lines []tagfile.Line) error {
	var told []error
	for _, one := range each(err) {
		told = append(told, inFlag(one, f, lines))
	}
	return errors.Join(told...)
}

func inFlag(err error, f *purgeFlags, lines []tagfile.Line) error {
	fault, ok := errors.AsType[*tasks.FieldError](err)
	if !ok {
		return err
	}
	var i int
	if n, _ := fmt.Sscanf(fault.Field, "src_images[%d]", &i); n == 1 {
		return fmt.Errorf("--src-image %s", fault.Problem)
	}
	if n, _ := fmt.Sscanf(fault.Field, "tags[%d]", &i); n != 1 {
		if fault.Field == "deadline_seconds" && f.invalidate {
			return errors.New("--deadline is for deletes: leave it or --invalidate out")
		}
		return fmt.Errorf("%s: %s", flagOf(fault.Field), fault.Problem)
	}
	where, tag := "--tag", ""
	if i < len(f.tags) {
		tag = f.tags[i]
	} else {
		l := lines[i-len(f.tags)]
		where, tag = fmt.Sprintf("%s:%d:", f.fromFile, l.Number), l.Tag
		if f.fromFile == stdinFile {
			where = fmt.Sprintf("the standard input, line %d:", l.Number)
		}
	}
	switch {
	case tag == tasks.AllTags:
		return fmt.Errorf(`%s "*" purges the whole project: add --all if that is meant`, where)
	case strings.Contains(tag, ",") && where == "--tag":
		return fmt.Errorf("--tag %s: repeat --tag for each tag", fault.Problem)
	}
	return fmt.Errorf("%s %s", where, fault.Problem)
}
