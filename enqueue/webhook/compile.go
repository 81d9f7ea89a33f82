package webhook

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// MaxNameBytes bounds the name of a source.
const MaxNameBytes = 64

// Hook is a compiled Source, ready for deliveries. It is safe for concurrent use.
type Hook struct {
	name       string
	label      string // of requests: preset and name
	verifiers  []verifier
	publicPath string
	logOnly    bool
	forms      forms      // of its secrets, to hide them
	bodySecret []location // where verifiers find the secret in the body
	// tokenHeaders are those in which they find it, in canonical form.
	tokenHeaders []string

	deliveryID  []location
	sameIsEvent bool
	dedupeTTL   time.Duration

	accept, operation, tags, images *program
	environment                     *program        // nil: all count
	environments                    []string        // that count, if environment is not nil
	constant                        tasks.Operation // if operation is nil
	prefix                          string
	encode                          bool // tags, as Next.js does
	limits                          Limits
	reject                          bool

	// requests are one for each project, without items and operation.
	requests []tasks.Purge
}

// Label is the Source of the requests that a source makes: preset and name, such
// as "sanity/blog", or the name alone.
func Label(s Source) string {
	return strings.TrimPrefix(s.Override.over(s.Preset).Name+"/"+s.Name, "/")
}

// Name is the source's.
func (h *Hook) Name() string { return h.name }

// Format writes the name for every verb: fmt would else print the secrets.
func (h *Hook) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "webhook %s", h.name) }

// Compile checks a source and makes it ready. The error joins all faults, each
// a *Fault.
func Compile(s Source) (*Hook, error) {
	f := &faults{}
	p := s.Override.over(s.Preset)
	h := &Hook{
		name: s.Name, label: Label(s),
		publicPath: s.PublicPath, logOnly: s.LogOnly, forms: formsOf(s.Secrets),
		dedupeTTL: s.DedupeTTL, prefix: s.TagPrefix, encode: s.Encode == EncodeNext,
		limits: s.Limits.complete(), reject: s.OnMappingError == Reject,
	}
	if !isName(s.Name) || len(s.Name) > MaxNameBytes {
		f.add("name", "%q must be 1 to %d letters, digits, '.', '_' or '-'", abbreviate(s.Name), MaxNameBytes)
	}
	if p.Extends != "" {
		f.add("extends", "only presets in a file extend another")
	}
	h.compileVerifiers(p.Verify, s, f)
	h.compileDedupe(p, s, f)
	h.compileEnvironment(p, f)
	h.compileMapping(p, s, f)
	h.compileRequests(s, f)
	h.limits.check(f)
	if s.OnMappingError != "" {
		f.oneOf("on_mapping_error", s.OnMappingError, DeadLetter, Reject)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *Hook) compileDedupe(p Preset, s Source, f *faults) {
	for i, text := range p.DeliveryID {
		h.deliveryID = append(h.deliveryID,
			parseLocation(fmt.Sprintf("delivery_id[%d]", i), text, f, inHeader, inJSON, inBody))
	}
	if p.SameContent != "" {
		f.oneOf("same_content", p.SameContent, SameIsDuplicate, SameIsEvent)
	}
	h.sameIsEvent = p.SameContent == SameIsEvent
	if h.dedupeTTL == 0 {
		h.dedupeTTL = DefaultDedupeTTL
	}
	longest := time.Duration(0)
	for _, v := range h.verifiers {
		if v, ok := v.(*signatureVerifier); ok && v.stamp != nil {
			longest = max(longest, 2*v.stamp.tolerance)
		}
	}
	switch {
	case h.dedupeTTL < time.Minute || h.dedupeTTL > MaxDedupeTTL:
		f.add("dedupe_ttl", "%s is out of range: use 1m to %s", h.dedupeTTL, MaxDedupeTTL)
	case h.dedupeTTL < longest && s.DedupeTTL != 0:
		f.add("dedupe_ttl", "%s is shorter than twice the tolerance: a delivery could be replayed after it", h.dedupeTTL)
	}
	h.dedupeTTL = max(h.dedupeTTL, longest)
}

func (h *Hook) compileEnvironment(p Preset, f *faults) {
	for i, name := range p.Environments {
		if strings.TrimSpace(name) == "" {
			f.add(fmt.Sprintf("environments[%d]", i), "is empty: name an environment of the sender, or \"*\" for all")
		}
	}
	environment := compileProgram("environment", p.Environment, f)
	switch {
	case len(p.Environments) == 0 || slices.Contains(p.Environments, AnyEnvironment):
	case p.Environment == "":
		f.add("environments", "has no meaning: this sender names no environment, or say where in environment")
	default:
		h.environment, h.environments = environment, p.Environments
	}
}

func (h *Hook) compileMapping(p Preset, s Source, f *faults) {
	h.accept = compileProgram("accept", p.Accept, f)
	h.tags = compileProgram("tags", p.Tags, f)
	h.images = compileProgram("src_images", p.SrcImages, f)
	if h.tags == nil && p.Tags == "" && p.SrcImages == "" {
		f.add("tags", "is missing: say which tags a delivery purges")
	}
	switch o := tasks.Operation(strings.TrimSpace(p.Operation)); o {
	case "":
		h.constant = tasks.Invalidate
	case tasks.Delete, tasks.Invalidate:
		h.constant = o
	default:
		h.operation = compileProgram("operation", p.Operation, f)
	}
	if s.Encode != "" {
		f.oneOf("encode", s.Encode, EncodeNext)
	}
	if s.TagPrefix != "" {
		if err := tasks.CheckItem(tasks.Tag, s.TagPrefix+"x"); err != nil {
			f.add("tag_prefix", "%v", err)
		}
	}
	if s.Target != tasks.AllTargets && p.Tags == "" {
		f.add("target", "Vercel takes no target for source images: leave it out")
	}
}

// compileRequests makes and checks the requests, but for their items.
func (h *Hook) compileRequests(s Source, f *faults) {
	if len(s.Projects) == 0 {
		f.add("projects", "is missing: name at least one project to purge")
	}
	for i, project := range s.Projects {
		if slices.Contains(s.Projects[:i], project) {
			f.add(fmt.Sprintf("projects[%d]", i), "stands twice")
		}
		p := tasks.Purge{
			Project: project, Target: s.Target, Priority: s.Priority, Settle: s.Settle, Rebound: s.Rebound,
			AllowAll: s.AllowAll, Source: h.label,
		}
		h.requests = append(h.requests, p)
		p.Operation, p.Tags = tasks.Invalidate, []string{"x"}
		for _, err := range unjoin(p.Validate()) {
			fault, ok := errors.AsType[*tasks.FieldError](err)
			switch {
			case !ok:
				f.add("projects", "%v", err)
			case fault.Field == "project":
				f.add(fmt.Sprintf("projects[%d]", i), "%s", fault.Problem)
			case i == 0: // the rest is the same for all projects
				f.add(strings.TrimSuffix(fault.Field, "_ms"), "%s", fault.Problem)
			}
		}
	}
}

func unjoin(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok { // what errors.Join made
		return list.Unwrap()
	}
	return nil
}

// isName reports whether s can stand in a path, a Redis key and a metric.
func isName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != "" && strings.Trim(s, ".") != ""
}
