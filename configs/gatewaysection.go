package configs

import (
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/tasks"
)

func (r *reader) gateway(path string, n ast.Node) {
	g := &r.cfg.Gateway
	r.section(path, n, keys{
		"listen":  r.address(&g.Listen),
		"proxies": r.networks(&g.Proxies),
		"api_keys": func(path string, n ast.Node) {
			r.items(path, n, func(path string, n ast.Node) { g.APIKeys = append(g.APIKeys, r.apiKey(path, n)) })
		},
		"monitor": func(path string, n ast.Node) {
			r.section(path, n, keys{
				"user":      r.text(&g.Monitor.User),
				"password":  r.kept(&g.Monitor.Password),
				"read_only": r.truth(&g.Monitor.ReadOnly),
			})
		},
		"sources": func(path string, n ast.Node) {
			r.items(path, n, func(path string, n ast.Node) { g.Sources = append(g.Sources, r.source(path, n)) })
		},
	})
}

func (r *reader) apiKey(path string, n ast.Node) APIKey {
	var k APIKey
	r.section(path, n, keys{
		"name":     r.text(&k.Name),
		"key":      r.kept(&k.Key),
		"projects": r.texts(&k.Projects),
	})
	return k
}

func (r *reader) source(path string, n ast.Node) webhook.Source {
	var s webhook.Source
	var preset, project, target, priority string
	enforce := true
	o := &s.Override
	r.section(path, n, keys{
		"name":          r.text(&s.Name),
		"preset":        r.text(&preset),
		"secrets":       r.secrets(&s.Secrets),
		"project":       r.text(&project),
		"projects":      r.texts(&s.Projects),
		"target":        r.text(&target),
		"priority":      r.text(&priority),
		"settle":        r.duration(&s.Settle),
		"rebound":       r.duration(&s.Rebound),
		"tag_prefix":    r.text(&s.TagPrefix),
		"encode":        r.text(&s.Encode),
		"allow_all":     r.truth(&s.AllowAll),
		"enforce":       r.truth(&enforce),
		"short_secrets": r.truth(&s.ShortSecrets),
		"tolerance":     r.duration(&s.Tolerance),
		"public_path":   r.text(&s.PublicPath),
		"dedupe_ttl":    r.duration(&s.DedupeTTL),
		"delivery_id":   r.texts(&o.DeliveryID),
		"same_content":  r.text(&o.SameContent),
		"environment":   r.text(&o.Environment),
		"environments":  r.texts(&o.Environments),
		"accept":        r.text(&o.Accept),
		"operation":     r.text(&o.Operation),
		"tags":          r.text(&o.Tags),
		"src_images":    r.text(&o.SrcImages),
		"verify": func(path string, n ast.Node) {
			r.items(path, n, func(path string, n ast.Node) { o.Verify = append(o.Verify, r.verifier(path, n)) })
		},
		"on_mapping_error": r.text(&s.OnMappingError),
		"limits":           r.limits(&s.Limits),
	})
	s.LogOnly = !enforce
	s.Target, s.Priority = tasks.Target(target), tasks.Priority(priority)
	switch at := path + ".project"; {
	case r.written(at) && r.written(path+".projects"):
		r.fault(at, "stands beside projects: keep one of them")
	case project != "":
		s.Projects = []string{project}
	}
	if r.written(path + ".preset") {
		s.Preset = r.preset(path+".preset", preset)
	}
	return s
}

// preset returns the preset of that name.
func (r *reader) preset(path, name string) webhook.Preset {
	if r.presets == nil {
		var err error
		if r.presets, err = webhook.ParsePresets("presets.yaml", presets); err != nil {
			r.fault(path, "%v", err) // a test reads the file: it cannot be at fault
		}
	}
	p, ok := r.presets[name]
	if ok {
		return p
	}
	known := slices.Sorted(maps.Keys(r.presets))
	if near := nearest(name, known); near != "" {
		r.fault(path, "%s is unknown: did you mean %s?", quote(name), near)
	} else {
		r.fault(path, "%s is unknown: use one of %s, or leave preset out and write verify and tags", quote(name), strings.Join(known, ", "))
	}
	return webhook.Preset{}
}

func (r *reader) verifier(path string, n ast.Node) webhook.Verifier {
	var v webhook.Verifier
	r.section(path, n, keys{
		"kind":      r.text(&v.Kind),
		"algorithm": r.text(&v.Algorithm),
		"encoding":  r.text(&v.Encoding),
		"signed":    r.text(&v.Signed),
		"from":      r.text(&v.From),
		"scheme":    r.text(&v.Scheme),
		"i_know":    r.truth(&v.IKnow),
		"key": func(path string, n ast.Node) {
			r.section(path, n, keys{
				"encoding":     r.text(&v.Key.Encoding),
				"strip_prefix": r.text(&v.Key.StripPrefix),
			})
		},
		"signature": func(path string, n ast.Node) {
			r.section(path, n, keys{
				"header": r.text(&v.Signature.Header),
				"split":  r.text(&v.Signature.Split),
				"pair":   r.text(&v.Signature.Pair),
				"label":  r.texts(&v.Signature.Label),
			})
		},
		"timestamp": func(path string, n ast.Node) {
			v.Timestamp = &webhook.Timestamp{}
			r.section(path, n, keys{
				"from":      r.text(&v.Timestamp.From),
				"unit":      r.text(&v.Timestamp.Unit),
				"tolerance": r.duration(&v.Timestamp.Tolerance),
			})
		},
	})
	return v
}

// limits reads the limits. What is written is never the 0 that means the default.
func (r *reader) limits(l *webhook.Limits) value {
	return func(path string, n ast.Node) {
		body := int(l.Body)
		r.section(path, n, keys{
			"body":         r.positive(r.count(&body), func() bool { return body == 0 }),
			"depth":        r.positive(r.count(&l.Depth), func() bool { return l.Depth == 0 }),
			"outputs":      r.positive(r.count(&l.Outputs), func() bool { return l.Outputs == 0 }),
			"mapping_time": r.positive(r.duration(&l.MappingTime), func() bool { return l.MappingTime == 0 }),
		})
		l.Body = int64(body)
	}
}

// positive refuses a zero where leaving the key out means the default.
func (r *reader) positive(read value, zero func() bool) value {
	return func(path string, n ast.Node) {
		read(path, n)
		if zero() && !r.broken[path] {
			r.fault(path, "0 lets nothing through: use more, or remove the line for the default")
		}
	}
}
