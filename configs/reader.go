package configs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
)

// reader walks the file's nodes into a Config, notes where each value was
// written and collects faults instead of stopping at the first.
type reader struct {
	cfg        Config
	file       string
	dir        string
	getenv     func(string) string
	places     places
	unresolved map[string]string
	faults     faults
	// broken are the paths whose own value is at fault, so that nothing is
	// concluded from the default that stands in for it.
	broken map[string]bool
	doubts []*Fault
	// gatewayFaults is what RequireGateway reports.
	gatewayFaults faults
	// presets is nil until a source names one.
	presets map[string]webhook.Preset
}

// value reads the node at a YAML path into its variable.
type value func(path string, n ast.Node)

// keys are the keys that a section may hold.
type keys map[string]value

// fault reports a value.
func (r *reader) fault(path, format string, args ...any) {
	r.broken[path] = true
	r.faults = append(r.faults, r.places.fault(path, fmt.Sprintf(format, args...)))
}

// written reports whether the file holds the path.
func (r *reader) written(path string) bool {
	_, ok := r.places[path]
	return ok
}

// note keeps where a path was written.
func (r *reader) note(path string, t *token.Token) {
	where := place{file: r.file}
	if t != nil && t.Position != nil {
		where.line, where.column = t.Position.Line, t.Position.Column
	}
	r.places[path] = where
}

// section reads a mapping. An empty one, all of its keys commented out, is as
// good as none.
func (r *reader) section(path string, n ast.Node, known keys) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		if n != nil && n.Type() != ast.NullType {
			r.wrong(path, n, "a section of keys", list(known))
		}
		return
	}
	lines := map[string]int{}
	for _, entry := range m.Values {
		key, ok := r.key(path, entry, known)
		if !ok {
			continue
		}
		at := key
		if path != "" {
			at = path + "." + key
		}
		if line, twice := lines[key]; twice {
			r.keyFault(entry.Key, at, "is written in line %d already: keep one of them", line)
			continue
		}
		lines[key] = entry.Key.GetToken().Position.Line
		r.note(at, entry.Key.GetToken())
		if isScalar(entry.Value) {
			r.note(at, entry.Value.GetToken())
		}
		known[key](at, entry.Value)
	}
}

// key returns the name of a key that the section knows.
func (r *reader) key(path string, entry *ast.MappingValueNode, known keys) (string, bool) {
	name, ok := entry.Key.(*ast.StringNode)
	switch {
	case entry.Key.IsMergeKey():
		r.keyFault(entry.Key, path, "the merge key << is not read: write the values out")
	case entry.Key.Type() == ast.MappingKeyType:
		r.keyFault(entry.Key, path, `a key after "?" is not read: write key: value`)
	case !ok:
		r.keyFault(entry.Key, path, "unknown key: %s", list(known))
	case known[name.Value] == nil:
		remedy := list(known)
		if near := nearest(name.Value, slices.Sorted(maps.Keys(known))); near != "" {
			remedy = "did you mean " + near + "?"
		}
		r.keyFault(entry.Key, path, "unknown key %s: %s", quote(name.Value), remedy)
	default:
		return name.Value, true
	}
	return "", false
}

// items reads a list, each entry at path[i]. An empty list is as good as none.
func (r *reader) items(path string, n ast.Node, each value) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		if n.Type() != ast.NullType {
			r.wrong(path, n, "a list", `begin each entry with "- "`)
		}
		return
	}
	for i, entry := range s.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		r.note(at, first(entry))
		if entry.Type() == ast.NullType {
			r.fault(at, `is empty: write its keys after the "-", or remove it`)
		}
		each(at, entry)
	}
}

// keyFault reports a key, at its own place, as a fault of the field around it.
func (r *reader) keyFault(key ast.Node, field, format string, args ...any) {
	f := at(r.file, key.GetToken(), fmt.Sprintf(format, args...))
	f.Field = field
	r.faults = append(r.faults, f)
}

// first returns the first token of a node: a mapping's own is its first colon.
func first(n ast.Node) *token.Token {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken()
	}
	return n.GetToken()
}

func isScalar(n ast.Node) bool {
	switch n.Type() {
	case ast.MappingType, ast.SequenceType, ast.NullType:
		return false
	default:
		return true
	}
}

// kind says in words what a node is, without its value.
func kind(n ast.Node) string {
	switch n.Type() {
	case ast.NullType:
		return "empty"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.BoolType:
		return "true or false"
	case ast.MappingType, ast.MappingValueType:
		return "a section of keys"
	case ast.SequenceType:
		return "a list"
	default:
		return "a text"
	}
}

func list(known keys) string { return "use " + strings.Join(slices.Sorted(maps.Keys(known)), ", ") }
