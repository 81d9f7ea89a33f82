package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/edgepurge/edgepurge/tasks"
)

// maxLineBytes is far above the longest tag, so that a fault can name the line.
const maxLineBytes = 1 << 20

// stdinFile is the --from-file that means the standard input.
const stdinFile = "-"

// fileTag is a tag with the place that it was read from.
type fileTag struct {
	tag  string
	line int
}

// readTags reads tags from a file, one a line; - is the standard input.
func (a *app) readTags(path string) ([]fileTag, error) {
	switch path {
	case "":
		return nil, nil
	case stdinFile:
		return scanTags(a.stdin, "the standard input")
	}
	f, err := os.Open(path) //nolint:gosec // the path is the user's own
	if err != nil {
		return nil, fmt.Errorf("read tags: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	return scanTags(f, path)
}

func scanTags(r io.Reader, from string) ([]fileTag, error) {
	var found []fileTag
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLineBytes)
	for n := 1; lines.Scan(); n++ {
		text := lines.Text() // without its line end, "\r\n" too
		if n == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // the mark that Windows editors begin a file with
		}
		if text != "" {
			found = append(found, fileTag{text, n})
		}
	}
	err := lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("read tags: %s has a line of more than %d bytes: write one tag a line", from, maxLineBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("read tags: %w", err)
	}
	return found, nil
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
func inFlags(err error, f *purgeFlags, lines []fileTag) error {
	var told []error
	for _, one := range each(err) {
		told = append(told, inFlag(one, f, lines))
	}
	return errors.Join(told...)
}

func inFlag(err error, f *purgeFlags, lines []fileTag) error {
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
		where, tag = fmt.Sprintf("%s:%d:", f.fromFile, l.line), l.tag
		if f.fromFile == stdinFile {
			where = fmt.Sprintf("the standard input, line %d:", l.line)
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
