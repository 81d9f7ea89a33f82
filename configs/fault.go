package configs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxFaults bounds how many faults one error reports; it says how many more there are.
const maxFaults = 50

// Fault is one thing wrong with a configuration.
type Fault struct {
	// File is empty when the fault is in the environment or no file was read.
	File string
	// Line and Column count from 1; 0 means the file as a whole.
	Line, Column int
	// Field is a path in YAML terms, such as "accounts[0].budget.calls", or the
	// name of an environment variable. Empty: the file as a whole.
	Field string
	// Problem says what is wrong and what would be right. It never holds a secret.
	Problem string
}

func (f *Fault) Error() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
		}
		b.WriteString(": ")
	}
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	return b.String() + f.Problem
}

// place is where a value comes from: a position in the file or a variable.
type place struct {
	file         string
	line, column int
	variable     string
}

// places maps YAML paths to where their values were written.
type places map[string]place

// fault places a problem at the field, or at the nearest section around it when
// the field itself was not written.
func (p places) fault(field, problem string) *Fault {
	f := &Fault{Field: field, Problem: problem}
	for at := field; ; {
		if where, ok := p[at]; ok {
			f.File, f.Line, f.Column = where.file, where.line, where.column
			if where.variable != "" {
				f.Field = where.variable
			}
			return f
		}
		if at == "" {
			return f
		}
		at = around(at)
	}
}

// around returns the path of the section or list that holds a path.
func around(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

type faults []*Fault

// err returns all faults in the order of the file, the environment's last, or nil.
func (f faults) err() error {
	sorted := slices.Clone(f)
	slices.SortStableFunc(sorted, func(a, b *Fault) int {
		if (a.File == "") != (b.File == "") {
			return cmp.Compare(b.File, a.File)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	var errs []error
	for i, fault := range sorted {
		if i == maxFaults {
			errs = append(errs, fmt.Errorf("and %d more faults", len(sorted)-maxFaults))
			break
		}
		errs = append(errs, fault)
	}
	return errors.Join(errs...)
}

// quote shows a value from the file in a message, shortened when it is long.
func quote(s string) string {
	const most = 64
	if len(s) <= most {
		return fmt.Sprintf("%q", s)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%q", s[:cut]+"…")
}
