package configs

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds the nesting before the parser sees it: the parser recurses,
// and the file's own shape is six deep.
const maxDepth = 32

// parse returns the one document of a file, nil for an empty one, or the fault
// that keeps it from being read as YAML.
func parse(file string, data []byte) (root ast.Node, fault *Fault) {
	defer func() {
		if recover() != nil { // a parser's panic must not be a stack trace with the file's content
			root, fault = nil, &Fault{File: file, Problem: "cannot be read as YAML"}
		}
	}()
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if line := invalidLine(data); line > 0 {
		return nil, &Fault{File: file, Line: line, Column: 1, Problem: "is not UTF-8 text"}
	}
	tokens := lexer.Tokenize(string(data))
	if deep := tooDeep(tokens); deep != nil {
		return nil, at(file, deep, fmt.Sprintf("is nested deeper than %d levels", maxDepth))
	}
	// Duplicate keys are let through here and refused, all of them, by reader.
	doc, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxFault(file, data, err)
	}
	for _, d := range doc.Docs {
		switch {
		case d.Body == nil:
			continue
		case d.Body.Type() == ast.DirectiveType:
			return nil, at(file, d.Body.GetToken(), "a YAML directive is not read: remove the line")
		case root != nil:
			return nil, at(file, d.Body.GetToken(), "a second YAML document begins here: keep one in a file")
		}
		root = d.Body
	}
	return root, nil
}

func at(file string, t *token.Token, problem string) *Fault {
	f := &Fault{File: file, Problem: problem}
	if t != nil && t.Position != nil {
		f.Line, f.Column = t.Position.Line, t.Position.Column
	}
	return f
}

// syntaxFault takes position and message from the parser's error, but not its
// excerpt of the file, which may show a secret.
func syntaxFault(file string, data []byte, err error) *Fault {
	detail, ok := errors.AsType[yaml.Error](err)
	if !ok {
		return &Fault{File: file, Problem: "cannot be read as YAML"}
	}
	f := at(file, detail.GetToken(), "")
	message := detail.GetMessage()
	if strings.ContainsRune(message, '"') {
		message = "a tag or directive is out of place" // the only messages that quote the file
	}
	f.Problem = "is not YAML: " + strings.ReplaceAll(message, "character '\t'", "a tab") // which terminals do not show
	if hint := remedy(data, f.Line, f.Column); hint != "" {
		f.Problem += "; " + hint
	} else if strings.HasPrefix(message, "mapping value is not allowed") {
		f.Problem += `; a text that holds ": " is written in quotes, and the keys of a section begin in the same column`
	}
	return f
}

// remedy looks at the character where the parser stopped, for the mistakes that
// its message does not explain.
func remedy(data []byte, line, column int) string {
	lines := strings.Split(string(data), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	text := strings.TrimSuffix(lines[line-1], "\r")
	if indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]; strings.Contains(indent, "\t") {
		return "indent with spaces, not tabs"
	}
	runes := []rune(text)
	if column < 1 || column > len(runes) {
		return ""
	}
	switch c := runes[column-1]; {
	case c == '*':
		return `a text that begins with * is written in quotes, such as "*"`
	case strings.ContainsRune("@`%&!|>", c):
		return fmt.Sprintf("a text that begins with %c is written in quotes", c)
	}
	return ""
}

// tooDeep returns the first token beyond maxDepth, counting open brackets and
// the indicators that may follow each other on one line ("- - - x").
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, run := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
			run = 0
		case token.SequenceEndType, token.MappingEndType:
			brackets--
			run = 0
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			run++
		default:
			run = 0
		}
		if brackets > maxDepth || run > maxDepth {
			return t
		}
	}
	return nil
}

// invalidLine returns the number of the first line that is not UTF-8, or 0.
func invalidLine(data []byte) int {
	if utf8.Valid(data) {
		return 0
	}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) {
			return i + 1
		}
	}
	return 1
}
