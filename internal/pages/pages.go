// Package pages reads what people read, README.md and the pages below docs/, for
// the tests that hold it true: the fenced blocks with the mark above each, the
// headings, and the links. It judges nothing, and no program imports it.
package pages

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Page is a file of Markdown.
type Page struct {
	// Path is where it lies below the root of the repository, with slashes.
	Path   string
	Text   string
	Blocks []Block
	// Anchors are what a link's fragment may name: one for each heading.
	Anchors []string
	// Links are the targets of its links as they are written, code left out.
	Links []string
}

// Block is a fenced block.
type Block struct {
	// Line is that of its opening fence, from 1.
	Line int
	// Language stands behind the opening fence; empty: none does.
	Language string
	// Mark is the text of an HTML comment in the line right above the fence, which a
	// reader does not see: what a test is to do with the block. Empty: there is none.
	Mark string
	// Text ends with a line break, unless it is empty.
	Text string
}

// Read reads README.md, CHANGELOG.md and all pages below docs/ of the repository
// whose root is given, in order of their names.
func Read(root string) ([]Page, error) {
	names := []string{"CHANGELOG.md", "README.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(file) != ".md" {
			return err
		}
		name, err := filepath.Rel(root, file)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		return nil, err
	}
	all := make([]Page, len(names))
	for i, name := range names {
		text, err := os.ReadFile(filepath.Join(root, name)) //nolint:gosec // a page of this repository
		if err != nil {
			return nil, err
		}
		all[i] = Parse(string(text))
		all[i].Path = name
	}
	return all, nil
}

var (
	fence   = regexp.MustCompile("^ *(?:```|~~~)(.*)$") // indented, in a list, too
	comment = regexp.MustCompile(`^ *<!-- (.*) -->$`)
	heading = regexp.MustCompile(`^#{1,6} +(.*)$`)
	code    = regexp.MustCompile("`[^`]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// Parse reads a page without its path.
func Parse(text string) Page {
	p := Page{Text: text}
	var open *Block
	above, seen := "", map[string]int{}
	for i, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case open != nil && m != nil:
			p.Blocks = append(p.Blocks, *open)
			open = nil
		case open != nil:
			open.Text += line + "\n"
		case m != nil:
			open = &Block{Line: i + 1, Language: m[1]}
			if m := comment.FindStringSubmatch(above); m != nil {
				open.Mark = m[1]
			}
		default:
			if m := heading.FindStringSubmatch(line); m != nil {
				p.Anchors = append(p.Anchors, anchor(m[1], seen))
			}
			for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(line, "``"), -1) {
				p.Links = append(p.Links, m[1])
			}
		}
		above = line
	}
	if open != nil { // as Markdown has it, a block without an end reaches to the end of the page
		p.Blocks = append(p.Blocks, *open)
	}
	return p
}

// anchor is GitHub's name for a heading; the second of the same text gets a number.
func anchor(title string, seen map[string]int) string {
	title = link.ReplaceAllString(title, "]")
	name := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		default:
			return -1
		}
	}, title)
	n := seen[name]
	seen[name]++
	if n > 0 {
		return name + "-" + strconv.Itoa(n)
	}
	return name
}
