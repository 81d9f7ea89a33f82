package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/edgepurge/edgepurge/tasks"
)

// input is what a mapping sees of a delivery.
type input struct {
	body    any
	headers map[string]any
	empty   bool // the body has no bytes, and stands as null
}

// plan is what a delivery asks for.
type plan struct {
	accepted bool
	// environment is that of the sender which keeps the delivery from being
	// accepted; empty: it is none of that.
	environment string
	operation   tasks.Operation
	tags        []string
	images      []string
	// problem says what could not be mapped; nil if all could be. What could be
	// is in tags and images all the same.
	problem error
}

// items is how many tags and images there are to purge.
func (p plan) items() int { return len(p.tags) + len(p.images) }

// warning says what may purge nothing; empty: nothing may.
func (p plan) warning() string { return tasks.NextWarning(p.tags, "encode: next in the source") }

// plan maps a delivery. It neither knows nor asks whether it is genuine.
func (h *Hook) plan(ctx context.Context, d Delivery) plan {
	in, err := h.input(d)
	if err != nil {
		return plan{problem: err}
	}
	ctx, cancel := context.WithTimeout(ctx, h.limits.MappingTime)
	defer cancel()
	p := plan{accepted: true, operation: h.constant}
	if h.environment != nil {
		if p.environment, err = h.otherEnvironment(ctx, in); err != nil {
			return plan{problem: err}
		}
		if p.environment != "" {
			p.accepted = false
			return p
		}
	}
	if h.accept != nil {
		if p.accepted, err = h.boolean(ctx, h.accept, in); err != nil {
			return plan{problem: err}
		}
	}
	if !p.accepted {
		return p
	}
	if h.operation != nil {
		if p.operation, err = h.operationOf(ctx, in); err != nil {
			return plan{problem: err}
		}
	}
	var tagErr, imageErr error
	p.tags, tagErr = h.list(ctx, h.tags, tasks.Tag, in)
	p.images, imageErr = h.list(ctx, h.images, tasks.SrcImage, in)
	p.problem = errors.Join(tagErr, imageErr)
	if in.empty && p.items() == 0 && p.problem == nil {
		p.problem = errors.New("the body is empty, and the headers alone name nothing to purge")
	}
	return p
}

// input reads the body, without the secrets that it may hold.
func (h *Hook) input(d Delivery) (input, error) {
	in := input{headers: h.visible(d.Header)}
	if len(bytes.TrimSpace(d.Body)) == 0 {
		in.empty = true
		return in, nil
	}
	if !utf8.Valid(d.Body) {
		return in, errors.New("the body is not UTF-8")
	}
	if value, ok := readValue(d.Body, h.limits.Depth); ok {
		in.body, _ = h.conceal(d.Body, value)
		return in, nil
	}
	if err := checkDepth(d.Body, h.limits.Depth); err != nil {
		return in, fmt.Errorf("%w: the limit is %d", err, h.limits.Depth)
	}
	var err error
	if in.body, err = decodeJSON(d.Body); err != nil {
		if strings.HasPrefix(d.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			return in, errors.New("the body is a form: choose application/json in the sender's settings")
		}
		return in, fmt.Errorf("the body is not JSON: %w", err)
	}
	in.body, _ = h.conceal(d.Body, in.body)
	return in, nil
}

// visible returns the headers by their lower-case names, the first value of
// each, without those that hold credentials.
func (h *Hook) visible(header http.Header) map[string]any {
	headers := make(map[string]any, len(header))
	for name, values := range header {
		if len(values) > 0 && !h.credential(name) && !h.holdsSecret(values[0]) {
			headers[strings.ToLower(name)] = strings.ToValidUTF8(values[0], "\ufffd")
		}
	}
	return headers
}

// credential reports whether a header holds credentials.
func (h *Hook) credential(header string) bool {
	switch name := http.CanonicalHeaderKey(header); name {
	case "Authorization", "Proxy-Authorization", "Cookie":
		return true
	default:
		return slices.Contains(h.tokenHeaders, name)
	}
}

// otherEnvironment returns the environment that a delivery is of, if it is none
// of those that count.
func (h *Hook) otherEnvironment(ctx context.Context, in input) (string, error) {
	var names []string
	err := h.environment.run(ctx, in, func(v any) error {
		switch name, ok := v.(string); {
		case v == nil || name == "" && ok:
			return nil
		case !ok:
			return fmt.Errorf("yields %s, not a text", kindOf(v))
		case slices.Contains(h.environments, name):
			names = nil
			return errEnough
		default:
			names = append(names, abbreviate(name))
			return nil
		}
	})
	return strings.Join(names, ", "), err
}

func (h *Hook) boolean(ctx context.Context, p *program, in input) (bool, error) {
	v, err := p.first(ctx, in)
	if err != nil {
		return false, err
	}
	yes, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("%s: yields %s, not true or false", p.field, kindOf(v))
	}
	return yes, nil
}

func (h *Hook) operationOf(ctx context.Context, in input) (tasks.Operation, error) {
	v, err := h.operation.first(ctx, in)
	if err != nil {
		return "", err
	}
	text, _ := v.(string)
	if o := tasks.Operation(text); o == tasks.Delete || o == tasks.Invalidate {
		return o, nil
	}
	return "", fmt.Errorf(`operation: yields %s that is neither "delete" nor "invalidate"`, kindOf(v))
}

// maxProblems bounds how many unfit items an error names.
const maxProblems = 5

// list returns the items that a program yields, each once, in their order, and
// what is wrong with the others.
func (h *Hook) list(ctx context.Context, p *program, kind tasks.Kind, in input) ([]string, error) {
	if p == nil {
		return nil, nil
	}
	var items []string
	var problems []error
	var outputs, unfit int
	seen := map[string]bool{}
	err := p.runParts(ctx, in, func() {
		items, problems, outputs, unfit = nil, nil, 0, 0
		clear(seen)
	}, func(v any) error {
		if outputs++; outputs > h.limits.Outputs {
			return fmt.Errorf("yields more than %d items", h.limits.Outputs)
		}
		item, err := h.item(kind, v)
		switch {
		case err != nil:
			if unfit++; unfit <= maxProblems {
				problems = append(problems, fmt.Errorf("%s: %w", p.field, err))
			}
		case !seen[item]:
			seen[item] = true
			items = append(items, item)
		}
		return nil
	})
	if unfit > maxProblems {
		problems = append(problems, fmt.Errorf("%s: and %d more", p.field, unfit-maxProblems))
	}
	return items, errors.Join(append(problems, err)...)
}

// item checks one value that a mapping yielded.
func (h *Hook) item(kind tasks.Kind, v any) (string, error) {
	item, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("yields %s, not a text: tag(…) makes texts of values", kindOf(v))
	}
	if kind == tasks.Tag {
		item = h.prefix + item
	}
	if strings.ContainsRune(item, utf8.RuneError) {
		return "", fmt.Errorf("%q holds U+FFFD: it was cut within a character or wrongly encoded, and names another tag", abbreviate(item))
	}
	if kind == tasks.Tag && item == tasks.AllTags && !h.allowAll() {
		return "", errors.New(`"*" purges the whole project: set allow_all if that is meant`)
	}
	err := tasks.CheckItem(kind, item)
	if err == nil && kind == tasks.Tag && h.encode {
		item = tasks.EncodeNext(item)
		err = tasks.CheckItem(kind, item)
	}
	return item, err
}

func (h *Hook) allowAll() bool { return h.requests[0].AllowAll }

// purges returns the requests of a plan, one for each project.
func (h *Hook) purges(p plan) []tasks.Purge {
	list := slices.Clone(h.requests)
	for i := range list {
		list[i].Operation, list[i].Tags, list[i].SrcImages = p.operation, p.tags, p.images
		if len(p.tags) == 0 {
			list[i].Target = tasks.AllTargets // images alone take none
		}
	}
	return list
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a text"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return "a number"
}
