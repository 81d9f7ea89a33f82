package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/tasks"
)

// Anonymous is the source of an exchange whose key is missing or unknown. No
// key may have this name.
const Anonymous = "anonymous"

// AnyProject among the projects of a key stands for every project.
const AnyProject = "*"

// Key lets a program in. Printed, it hides its secret.
type Key struct {
	// Name is the source of its requests, in logs and metrics: 1 to
	// tasks.MaxSourceBytes letters, digits, '.', '_' or '-'. It stays the same
	// when the secret is changed.
	Name string
	// Secret is the bearer token.
	Secret webhook.Secret
	// Projects may be purged with it, by the ids or names that its requests use.
	// AnyProject: every one.
	Projects []string
}

// caller is a Key without its secret.
type caller struct {
	name     string
	projects []string
}

func (c *caller) covers(project string) bool {
	return slices.Contains(c.projects, project) || slices.Contains(c.projects, AnyProject)
}

// keyring knows the keys by their hashes alone.
type keyring struct {
	sums    [][sha256.Size]byte
	callers []*caller
}

// newKeyring reports all faults of the keys at once, naming no secret.
func newKeyring(keys []Key) (keyring, error) {
	var ring keyring
	var faults []error
	add := func(i int, format string, args ...any) {
		faults = append(faults, fmt.Errorf("gateway: Config.Keys[%d]: "+format, append([]any{i}, args...)...))
	}
	for i, k := range keys {
		sum := sha256.Sum256([]byte(k.Secret))
		switch {
		case !isName(k.Name):
			add(i, "the name %q must be 1 to %d letters, digits, '.', '_' or '-'", k.Name, tasks.MaxSourceBytes)
		case k.Name == Anonymous:
			add(i, "the name %q is what requests without a key are counted under", k.Name)
		case slices.ContainsFunc(ring.callers, func(c *caller) bool { return c.name == k.Name }):
			add(i, "the name %q stands twice", k.Name)
		}
		switch {
		case strings.TrimSpace(string(k.Secret)) == "":
			add(i, "the secret is missing")
		case slices.Contains(ring.sums, sum):
			add(i, "another key has the same secret")
		}
		if len(k.Projects) == 0 {
			add(i, "no project is named: it could purge nothing; use %q for every one", AnyProject)
		}
		ring.sums = append(ring.sums, sum)
		ring.callers = append(ring.callers, &caller{k.Name, slices.Clone(k.Projects)})
	}
	return ring, errors.Join(faults...)
}

// find returns whose secret it is, or nil. It compares all hashes, so that the
// time it takes tells nothing.
func (k keyring) find(secret string) *caller {
	sum, found := sha256.Sum256([]byte(secret)), -1
	for i := range k.sums {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], k.sums[i][:]), i, found)
	}
	if found < 0 {
		return nil
	}
	return k.callers[found]
}

func isName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != "" && len(s) <= tasks.MaxSourceBytes
}
