package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
	"github.com/edgepurge/edgepurge/tasks"
)

var (
	// noProject is Vercel's answer for a project that a token cannot see.
	noProject = api.Refusal{Status: http.StatusNotFound, Message: "Project not found"}
	// noPurgeAll is for what Vercel's command line does behind `vercel cache purge`.
	noPurgeAll = api.Refusal{Status: http.StatusNotFound, Message: "edgepurge purges no whole project here: " + allTagsRemedy}
)

const allTagsRemedy = `POST /v1/purges with "tags":["*"] and "allow_all":true does`

// dropIn takes in what Vercel would, and refuses in its words what it would
// refuse. What Vercel would read differently from what was written is refused too.
func (h *Handler) dropIn(ctx context.Context, x *exchange, e api.Endpoint) answer {
	body, refused := readBody(x.w, x.r, api.MaxBodyBytes)
	if refused != nil {
		return *refused
	}
	query, problem := api.ParseQuery(x.r.URL.Query())
	if problem != "" {
		return invalid(problem)
	}
	parsed, problem := api.Schema{}.Parse(e, body)
	if problem != "" {
		return invalid(problem)
	}
	p := purgeOf(e, query, parsed)
	p.Source = x.caller.name
	if err := p.Validate(); err != nil {
		f := faultsOf(err)[0]
		if f.Field == "project" { // one that cannot exist
			return refuse(noProject, NotFound)
		}
		return invalid(vercelWords(f))
	}
	x.purge = p
	if !x.caller.covers(p.Project) {
		return refuse(noProject, Forbidden)
	}
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	if _, refused := h.store(ctx, x); refused != nil {
		return *refused
	}
	return answer{status: http.StatusOK, outcome: Queued}
}

// purgeOf is the request that a call of Vercel's API makes. Of its tags in the
// string form the spaces after commas are not meant.
func purgeOf(e api.Endpoint, q api.Query, b api.Body) tasks.Purge {
	p := tasks.Purge{Project: q.Project, Operation: e.Operation, Target: b.Target}
	if b.DeadlineSeconds != tasks.NoDeadline {
		p.DeadlineSeconds = &b.DeadlineSeconds
	}
	switch {
	case e.Kind == tasks.SrcImage:
		p.SrcImages = b.Items
	case b.StringForm:
		for _, tag := range b.Items {
			p.Tags = append(p.Tags, strings.TrimSpace(tag))
		}
	default:
		p.Tags = b.Items
	}
	return p
}

// vercelWords tells a fault of ours by the field of Vercel's schema.
func vercelWords(f fault) string {
	field := strings.Replace(f.Field, "src_images", "srcImages", 1)
	if strings.HasPrefix(f.Problem, `"*"`) {
		f.Problem = `"*" would purge the whole project: ` + allTagsRemedy
	}
	return "`" + field + "` " + f.Problem + "."
}

// show answers what Vercel's command line asks before it purges.
func (h *Handler) show(_ context.Context, x *exchange) answer {
	project := api.ProjectAt(x.r.URL.Path)
	if project != "" && !x.caller.covers(project) {
		return refuse(noProject, Forbidden)
	}
	query := x.r.URL.Query()
	return shown(http.StatusOK, Shown, api.Show(x.r.URL.Path, x.caller.name, query.Get("teamId")+query.Get("slug")))
}
