// Package tagfile reads the tags of a file, one a line. It knows nothing of what
// makes a tag valid: whoever purges or plans tells that, with the line.
package tagfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLineBytes is far above the longest tag, so that a fault can name the line.
const maxLineBytes = 1 << 20

// Line is a tag with the line that it was read from, the first being 1.
type Line struct {
	Tag    string
	Number int
}

// Read reads the tags; empty lines count but are left out. Its errors name the file
// as from says.
func Read(r io.Reader, from string) ([]Line, error) {
	var found []Line
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLineBytes)
	for n := 1; lines.Scan(); n++ {
		text := lines.Text() // without its line end, "\r\n" too
		if n == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // the mark that Windows editors begin a file with
		}
		if text != "" {
			found = append(found, Line{text, n})
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
