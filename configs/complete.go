package configs

import (
	"fmt"

	"github.com/edgepurge/edgepurge/worker"
)

// complete fills in what follows from the rest of the file, and asks for what
// does not.
func (r *reader) complete() {
	w := &r.cfg.Worker
	several := len(w.Accounts) > 1
	for i := range w.Accounts {
		if several {
			r.need(fmt.Sprintf("accounts[%d]", i), "name", "is missing: several accounts are told apart by their names")
		}
	}
	for i := range w.Projects {
		at := fmt.Sprintf("projects[%d]", i)
		r.need(at, "project", `is missing: write a project id or name, or "*" for the rest`)
		for j := range w.Projects[i].Spread.Weights {
			weight := fmt.Sprintf("%s.spread.weights[%d]", at, j)
			r.need(weight, "match", `is missing: write an item, or the beginning of items and "*"`)
			r.need(weight, "cost", "is missing: write what each match costs, such as 500")
		}
		for j := range w.Projects[i].Collapse {
			rule := fmt.Sprintf("%s.collapse[%d]", at, j)
			r.need(rule, "to", `is missing: write the tag that takes their place, or "*" for the whole project`)
		}
		if several {
			r.need(at, "account", "is missing: there are several, name the one that the project belongs to")
		} else if !r.written(at + ".account") {
			w.Projects[i].Account = w.Accounts[0].Name
		}
	}
	if len(w.Projects) == 0 {
		if several {
			r.fault("projects", `is missing: there are several accounts, say which projects belong to which ("*" is the rest)`)
		}
		p := worker.DefaultProject()
		p.Account = w.Accounts[0].Name
		w.Projects = []worker.Project{p}
	}
}

// need reports a key that an entry of a list must have and the file does not
// give, unless the entry was not there to be read.
func (r *reader) need(entry, key, problem string) {
	at := entry + "." + key
	if r.written(entry) && !r.broken[entry] && !r.written(at) {
		r.fault(at, "%s", problem)
	}
}
