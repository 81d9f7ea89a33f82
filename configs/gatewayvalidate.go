package configs

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/worker"
)

const gatewayListen = "gateway.listen"

// minKeyBytes keeps API keys from being guessed: what `openssl rand -hex 16`
// prints is 32.
const minKeyBytes = 16

// minSecretBytes keeps the secrets of webhooks from being guessed: whoever guesses
// one can purge. A signed delivery can be tried against offline.
const minSecretBytes = 16

// minPasswordBytes keeps the password of the web UI from being guessed at 5
// attempts a minute from each address.
const minPasswordBytes = 12

// validateGateway checks the section. What is wrong with a secret itself is kept
// for RequireGateway.
func (r *reader) validateGateway() {
	g := &r.cfg.Gateway
	switch err := checkAddress(g.Listen); {
	case r.broken[gatewayListen]:
	case g.Listen == "":
		r.fault(gatewayListen, "is empty: write host:port, such as %s", Default().Gateway.Listen)
	case err != nil:
		r.fault(gatewayListen, "%s is not an address: write host:port, such as %s", quote(g.Listen), Default().Gateway.Listen)
	}
	if u := g.Monitor.User; !r.broken["gateway.monitor.user"] && (u == "" || strings.Contains(u, ":")) {
		r.fault("gateway.monitor.user", `%s is no user: write a name without ":", such as admin`, quote(u))
	}
	const password = "gateway.monitor.password"
	if !r.unresolvedSecret(password) && g.Monitor.Password != "" && len(g.Monitor.Password) < minPasswordBytes {
		r.gatewayFaults = append(r.gatewayFaults, r.places.fault(password,
			fmt.Sprintf("is shorter than %d characters, and could be guessed: `openssl rand -hex 16` makes one", minPasswordBytes)))
	}
	for i := range g.APIKeys {
		r.validateKey(i)
	}
	for i := range g.Sources {
		r.validateSource(i)
	}
}

// unresolvedSecret keeps for RequireGateway why a secret could not be had.
func (r *reader) unresolvedSecret(path string) bool {
	why, ok := r.unresolved[path]
	if ok {
		r.gatewayFaults = append(r.gatewayFaults, r.places.fault(path, why))
	}
	return ok
}

func (r *reader) validateKey(i int) {
	k := r.cfg.Gateway.APIKeys[i]
	at := fmt.Sprintf("gateway.api_keys[%d]", i)
	if r.broken[at] {
		return
	}
	r.need(at, "name", "is missing: it stands in logs and metrics")
	r.need(at, "key", "is missing: write env:NAME or file:PATH")
	r.need(at, "projects", `is missing: list the projects that it may purge, or write ["*"]`)
	if r.written(at+".name") && !r.broken[at+".name"] {
		if err := checkName(k.Name); err != nil {
			r.fault(at+".name", "%v", err)
		}
		j := slices.IndexFunc(r.cfg.Gateway.APIKeys, func(other APIKey) bool { return other.Name == k.Name })
		if j < i {
			r.fault(at+".name", "is the name of api_keys[%d] already: choose another", j)
		}
	}
	if r.written(at+".projects") && len(k.Projects) == 0 && !r.broken[at+".projects"] {
		r.fault(at+".projects", `is empty: list the projects that it may purge, or write ["*"]`)
	}
	for j, project := range k.Projects {
		field := fmt.Sprintf("%s.projects[%d]", at, j)
		if err := checkProject(project); project != AnyProject && err != nil && !r.broken[field] {
			r.fault(field, "%v", err)
		}
	}
	key := at + ".key"
	if r.broken[key] || !r.written(key) || r.unresolvedSecret(key) {
		return
	}
	bad := ""
	switch same := slices.IndexFunc(r.cfg.Gateway.APIKeys, func(other APIKey) bool { return other.Key == k.Key }); {
	case len(k.Key) < minKeyBytes:
		bad = fmt.Sprintf("is shorter than %d characters, and could be guessed: `openssl rand -hex 16` makes one", minKeyBytes)
	case strings.ContainsFunc(string(k.Key), func(c rune) bool { return c <= ' ' || c > '~' }):
		bad = "holds a space, a line break or a character beyond ASCII: it could not travel in a header"
	case same < i:
		bad = fmt.Sprintf("is the key of api_keys[%d] too: nobody could tell them apart", same)
	}
	if bad != "" {
		r.gatewayFaults = append(r.gatewayFaults, r.places.fault(key, bad))
	}
}

func (r *reader) validateSource(i int) {
	s := r.cfg.Gateway.Sources[i]
	at := fmt.Sprintf("gateway.sources[%d]", i)
	if r.broken[at] {
		return
	}
	if !r.written(at + ".name") {
		r.fault(at+".name", "is missing: it is the last part of the path, /hooks/<name>")
	}
	j := slices.IndexFunc(r.cfg.Gateway.Sources, func(other webhook.Source) bool { return other.Name == s.Name })
	if j < i && s.Name != "" {
		r.fault(at+".name", "is the name of sources[%d] already: choose another", j)
	}
	if !r.written(at+".preset") && !r.written(at+".verify") {
		r.fault(at+".preset", "is missing: name the sender, or write verify and tags for one that is not known")
	}
	unresolved := false
	for j := range s.Secrets {
		if r.unresolvedSecret(fmt.Sprintf("%s.secrets[%d]", at, j)) {
			unresolved = true
		}
	}
	if !unresolved && !s.ShortSecrets {
		r.shortSecrets(at, s)
	}
	_, err := webhook.Compile(s)
	for _, err := range split(err) {
		f, ok := errors.AsType[*webhook.Fault](err)
		if !ok {
			r.fault(at, "%v", err)
			continue
		}
		r.sourceFault(at, f, unresolved)
	}
	r.coverage(at, s.Projects)
}

// shortSecrets refuses the secrets of a source that could be guessed.
func (r *reader) shortSecrets(at string, s webhook.Source) {
	for j, secret := range s.Secrets {
		text, what := string(secret), "is"
		if s.UsesBasic() { // one without a password is refused for that
			_, text, _ = strings.Cut(text, ":")
			what = "has a password"
		}
		if text != "" && len(text) < minSecretBytes {
			r.gatewayFaults = append(r.gatewayFaults, r.places.fault(fmt.Sprintf("%s.secrets[%d]", at, j), fmt.Sprintf(
				"%s shorter than %d characters, and could be guessed: `openssl rand -hex 16` makes one; short_secrets: true takes it all the same", what, minSecretBytes)))
		}
	}
}

// sourceFault places what package webhook says of a source, unless it only
// follows from what is reported already.
func (r *reader) sourceFault(at string, f *webhook.Fault, unresolved bool) {
	field := at + "." + f.Field
	ofSecret := strings.HasPrefix(f.Field, "secrets[") ||
		strings.HasPrefix(f.Field, "verify[") && strings.HasSuffix(f.Problem, "can use none of the secrets")
	switch f.Field {
	case "projects", "projects[0]":
		if !r.written(at + ".projects") {
			field = at + ".project"
		}
	}
	switch {
	case r.consequence(field):
	case r.broken[at+".preset"] && (f.Field == "verify" || f.Field == "tags"): // it would have had them
	case r.broken[at+".verify"] && strings.HasPrefix(f.Field, "verify"):
	case ofSecret && unresolved: // the cause is reported
	case ofSecret:
		r.gatewayFaults = append(r.gatewayFaults, r.places.fault(field, f.Problem))
	default:
		r.fault(field, "%s", f.Problem)
	}
}

// coverage refuses a project whose requests every worker with this file would
// make dead letters.
func (r *reader) coverage(at string, projects []string) {
	known := r.cfg.Worker.Projects
	if slices.ContainsFunc(known, func(p worker.Project) bool { return p.Project == worker.AnyProject }) {
		return
	}
	for i, project := range projects {
		field := fmt.Sprintf("%s.projects[%d]", at, i)
		if r.written(at + ".project") {
			field = at + ".project"
		}
		covered := slices.ContainsFunc(known, func(p worker.Project) bool { return p.Project == project })
		if !covered && !r.consequence(field) && !r.broken["projects"] {
			r.fault(field, `%s has no entry under projects: add one, or one for "*"`, quote(project))
		}
	}
}

// checkName returns what is wrong with a name that stands in metrics and logs.
func checkName(name string) error {
	const most = 64
	allowed := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("._-", c)
	}
	if name == "" || len(name) > most || strings.ContainsFunc(name, func(c rune) bool { return !allowed(c) }) {
		return fmt.Errorf("%s must be 1 to %d letters, digits, '.', '_' or '-'", quote(name), most)
	}
	return nil
}
