package configs

import (
	"github.com/goccy/go-yaml/ast"

	"github.com/edgepurge/edgepurge/worker"
)

// root reads the file. The order of the keys does not matter.
func (r *reader) root(n ast.Node) {
	if n != nil && n.Type() != ast.MappingType {
		r.note("", n.GetToken())
	}
	r.section("", n, keys{
		"redis":    r.redis,
		"vercel":   r.vercel,
		"accounts": r.accounts,
		"projects": r.projects,
		"worker":   r.worker,
		"gateway":  r.gateway,
	})
}

func (r *reader) redis(path string, n ast.Node) {
	r.section(path, n, keys{
		"url":           r.secretOr(&r.cfg.Redis.URL, r.openRedisURL),
		"wait_replicas": r.count(&r.cfg.Redis.WaitReplicas),
		"wait_timeout":  r.duration(&r.cfg.Redis.WaitTimeout),
		"max_queued":    r.count(&r.cfg.Redis.MaxQueued),
	})
}

func (r *reader) vercel(path string, n ast.Node) {
	r.section(path, n, keys{
		"url":        r.text(&r.cfg.Worker.VercelURL),
		"allow_http": r.text(&r.cfg.Worker.AllowHTTP),
		"timeout":    r.duration(&r.cfg.Worker.Timeout),
	})
}

func (r *reader) worker(path string, n ast.Node) {
	r.section(path, n, keys{
		"servers":     r.count(&r.cfg.Worker.Servers),
		"concurrency": r.count(&r.cfg.Worker.Concurrency),
		"metrics":     r.address(&r.cfg.Metrics),
	})
}

func (r *reader) accounts(path string, n ast.Node) {
	var accounts []worker.Account
	r.items(path, n, func(path string, n ast.Node) {
		accounts = append(accounts, r.account(path, n))
	})
	if len(accounts) > 0 {
		r.cfg.Worker.Accounts = accounts
	}
}

func (r *reader) account(path string, n ast.Node) worker.Account {
	a := worker.DefaultAccount()
	form, full := string(a.Batch.Form), string(a.Backlog.WhenFull)
	r.section(path, n, keys{
		"name":    r.text(&a.Name),
		"token":   r.secret(&a.Token),
		"team_id": r.text(&a.TeamID),
		"slug":    r.text(&a.Slug),
		"budget": func(path string, n ast.Node) {
			r.section(path, n, keys{
				"calls":     r.count(&a.Budget.Calls),
				"per":       r.duration(&a.Budget.Per),
				"reserve":   r.count(&a.Budget.Reserve),
				"in_flight": r.count(&a.Budget.InFlight),
			})
		},
		"batch": func(path string, n ast.Node) {
			r.section(path, n, keys{
				"form":           r.text(&form),
				"max_tags":       r.count(&a.Batch.MaxTags),
				"max_src_images": r.count(&a.Batch.MaxSrcImages),
			})
		},
		"retry": func(path string, n ast.Node) {
			r.section(path, n, keys{
				"max_attempts": r.count(&a.Retry.MaxAttempts),
				"base":         r.duration(&a.Retry.Base),
				"cap":          r.duration(&a.Retry.Cap),
			})
		},
		"backlog": func(path string, n ast.Node) {
			r.section(path, n, keys{
				"max":       r.count(&a.Backlog.Max),
				"when_full": r.text(&full),
			})
		},
	})
	a.Batch.Form, a.Backlog.WhenFull = worker.Form(form), worker.WhenFull(full)
	// A default never makes what was written invalid.
	if !r.written(path + ".budget.reserve") {
		a.Budget.Reserve = max(0, min(a.Budget.Reserve, a.Budget.Calls-1))
	}
	if !r.written(path + ".retry.cap") {
		a.Retry.Cap = max(a.Retry.Cap, a.Retry.Base)
	}
	return a
}

func (r *reader) projects(path string, n ast.Node) {
	var projects []worker.Project
	r.items(path, n, func(path string, n ast.Node) {
		projects = append(projects, r.project(path, n))
	})
	r.cfg.Worker.Projects = projects // complete gives an empty one its default
}

func (r *reader) project(path string, n ast.Node) worker.Project {
	p := worker.DefaultProject()
	s := &p.Spread
	r.section(path, n, keys{
		"project": r.text(&p.Project),
		"account": r.text(&p.Account),
		"linger":  r.duration(&p.Linger),
		"spread": func(path string, n ast.Node) {
			r.section(path, n, keys{
				"rate":      r.number(&s.Rate),
				"burst":     r.number(&s.Burst),
				"max_delay": r.duration(&s.MaxDelay),
				"weights": func(path string, n ast.Node) {
					r.items(path, n, func(path string, n ast.Node) {
						s.Weights = append(s.Weights, r.weight(path, n))
					})
				},
				"deadline": func(path string, n ast.Node) {
					r.section(path, n, keys{
						"min":  r.duration(&s.Deadline.Min),
						"over": r.duration(&s.Deadline.Over),
					})
				},
			})
		},
		"collapse": func(path string, n ast.Node) {
			r.items(path, n, func(path string, n ast.Node) {
				p.Collapse = append(p.Collapse, r.collapse(path, n))
			})
		},
	})
	switch burst := path + ".spread.burst"; {
	case s.Rate > 0 && !r.written(burst):
		s.Burst = max(1, s.Rate)
	case s.Rate > 0 && s.Burst == 0 && !r.broken[burst]: // a bucket that holds nothing lets nothing go
		r.fault(burst, "0 would let nothing go: use more, or leave it out for as much as rate")
	}
	return p
}

func (r *reader) weight(path string, n ast.Node) worker.Weight {
	var w worker.Weight
	r.section(path, n, keys{
		"match": r.text(&w.Match),
		"cost":  r.number(&w.Cost),
	})
	return w
}

func (r *reader) collapse(path string, n ast.Node) worker.Collapse {
	var c worker.Collapse
	r.section(path, n, keys{
		"match": r.text(&c.Match),
		"over":  r.count(&c.Over),
		"age":   r.duration(&c.Age),
		"to":    r.text(&c.To),
	})
	return c
}
