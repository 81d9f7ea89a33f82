package configs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/edgepurge/edgepurge/internal/redisurl"
)

// maxSecretBytes bounds a file with a secret.
const maxSecretBytes = 64 << 10

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reference is where a secret is kept; one of the two is set.
type reference struct {
	variable string
	path     string
}

// parseReference reads env:NAME or file:PATH. Its error says what would be right
// and never repeats the text, which may be the secret itself.
func parseReference(s string) (reference, error) {
	if name, ok := strings.CutPrefix(s, "env:"); ok {
		if !variableName.MatchString(name) {
			return reference{}, errors.New("needs the name of a variable after env:, of letters, digits and _")
		}
		return reference{variable: name}, nil
	}
	if path, ok := strings.CutPrefix(s, "file:"); ok {
		if path == "" {
			return reference{}, errors.New("needs the path of a file after file:, such as file:/run/secrets/token")
		}
		return reference{path: path}, nil
	}
	if s == "" {
		return reference{}, errors.New("is empty: write env:NAME or file:PATH, or remove the line")
	}
	return reference{}, errors.New("is a secret in plain text: write env:NAME for a variable or file:PATH for a file, and keep it there")
}

// secret reads a token, which must be fit for a header.
func (r *reader) secret(into *string) value {
	return func(path string, n ast.Node) {
		if got, ok := r.secretAt(path, n); ok {
			*into = r.usable(path, got)
		}
	}
}

// kept reads a secret of the gateway, of any form.
func (r *reader) kept(into *Secret) value {
	return func(path string, n ast.Node) {
		if got, ok := r.secretAt(path, n); ok {
			*into = Secret(got)
		}
	}
}

// secretAt is what the reference at a path leads to. That it leads to nothing is
// only noted: a command that does not need the secret runs without.
func (r *reader) secretAt(path string, n ast.Node) (string, bool) {
	s, ok := r.referenceText(path, n)
	if !ok {
		return "", false
	}
	ref, err := parseReference(s)
	if err != nil {
		r.fault(path, "%v", err)
		return "", false
	}
	got, err := r.resolve(ref)
	if err != nil {
		r.unresolved[path] = err.Error()
		return "", false
	}
	return got, true
}

// secrets reads a list of them; one that cannot be had is empty.
func (r *reader) secrets(into *[]Secret) value {
	return func(path string, n ast.Node) {
		r.items(path, n, func(path string, n ast.Node) {
			var s Secret
			if n.Type() != ast.NullType { // it is reported
				r.kept(&s)(path, n)
			}
			*into = append(*into, s)
		})
	}
}

// secretOr reads a value that may be a reference, as a whole, or be written out.
func (r *reader) secretOr(into *string, other value) value {
	return func(path string, n ast.Node) {
		s, ok := n.(*ast.StringNode)
		if !ok || !strings.HasPrefix(s.Value, "env:") && !strings.HasPrefix(s.Value, "file:") {
			other(path, n)
			return
		}
		ref, err := parseReference(s.Value)
		if err != nil {
			r.fault(path, "%v", err)
			return
		}
		got, err := r.resolve(ref)
		if err != nil {
			r.unresolved[path] = err.Error()
			return
		}
		*into = got
	}
}

// openRedisURL reads a URL that is written out, which is fit for one without a password.
func (r *reader) openRedisURL(path string, n ast.Node) {
	r.text(&r.cfg.Redis.URL)(path, n)
	if redisurl.HasPassword(r.cfg.Redis.URL) {
		r.fault(path, "holds a password in plain text: keep the whole URL in a variable and write env:NAME, or in a file and write file:PATH, or set EDGEPURGE_REDIS_URL instead")
	}
}

func (r *reader) referenceText(path string, n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.MappingNode: // goccy/go-yaml reads a bare env:X so in some one-line lists and sections
		r.fault(path, `is read as a section of keys: write it in quotes and without a space, such as "env:VERCEL_TOKEN"`)
	default:
		r.wrong(path, n, "env:NAME or file:PATH", "a secret is kept outside of the file")
	}
	return "", false
}

// resolve returns the secret. Its error names the variable or the path.
func (r *reader) resolve(ref reference) (string, error) {
	if ref.variable != "" {
		s := cleaned(r.getenv(ref.variable))
		if isQuoted(s) {
			return "", fmt.Errorf("the variable %s %s, or keep a secret that has them in a file (file:PATH)", ref.variable, inQuotes)
		}
		if s != "" {
			return s, nil
		}
		return "", fmt.Errorf("the variable %s is not set, or is empty", ref.variable)
	}
	path := ref.path
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	// A pipe has nothing until someone writes, and to open it waits for that: no
	// signal would end the program.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file but a pipe, a device or a folder: keep the secret in a file", path)
	}
	data, err := readBounded(path, maxSecretBytes)
	if err != nil {
		return "", err
	}
	s := cleaned(string(data))
	if s == "" {
		return "", fmt.Errorf("the file %s is empty", path)
	}
	return s, nil
}

// usable returns a token that can travel in an HTTP header, else notes why it
// cannot and returns none.
func (r *reader) usable(path, token string) string {
	token = cleaned(token)
	if token == "" {
		r.unresolved[path] = "is empty"
		return ""
	}
	if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		r.unresolved[path] = "holds a space, a line break or a character beyond ASCII: no token of Vercel's does"
		return ""
	}
	return token
}

// cleaned takes off the one line break that editors and echo leave at the end.
func cleaned(s string) string {
	return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
}
