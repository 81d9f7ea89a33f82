package emulator

import (
	"net/http"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
	"github.com/edgepurge/edgepurge/tasks"
)

// KindAll is the kind, in the journal, of a call that purges a whole project.
const KindAll tasks.Kind = "all"

// route is what the API does at one method and path.
type route struct {
	method    string
	kind      tasks.Kind
	operation tasks.Operation
	// purges: the route counts against the rate limit and takes effect.
	purges bool
	// parse fills in the journal's record from query and body; a refusal
	// is returned and not yet answered, for a fault may come first.
	parse func(e *Emulator, x *exchange, body []byte) *answer
}

var routes = func() map[string]route {
	all := map[string]route{
		api.PurgeAllPath:     allRoute(http.MethodPost),
		api.PurgeAllDataPath: allRoute(http.MethodDelete),
	}
	for path, e := range api.Endpoints {
		all[path] = route{method: http.MethodPost, kind: e.Kind, operation: e.Operation, purges: true, parse: (*Emulator).parsePurge}
	}
	return all
}()

func allRoute(method string) route {
	return route{method: method, kind: KindAll, operation: tasks.Delete, purges: true, parse: (*Emulator).parseAll}
}

// findRoute returns the route of a request, or a 404 or 405.
func findRoute(r *http.Request) (route, *answer) {
	found, ok := routes[r.URL.Path]
	if !ok {
		if !api.ShowsAt(r.URL.Path) {
			return route{}, refuse(api.NoEndpoint)
		}
		found = route{method: http.MethodGet, parse: (*Emulator).parseShow}
	}
	if r.Method != found.method {
		return route{}, refuse(api.WrongMethod(found.method))
	}
	return found, nil
}

func parseQuery(x *exchange) *answer {
	query, problem := api.ParseQuery(x.r.URL.Query())
	x.call.Project = query.Project
	if problem != "" {
		return refuse(api.Invalid(problem))
	}
	return nil
}

func (e *Emulator) parsePurge(x *exchange, body []byte) *answer {
	refused := parseQuery(x)
	parsed, problem := e.schema.Parse(api.Endpoint{Kind: x.call.Kind, Operation: x.call.Operation}, body)
	x.call.Items, x.call.StringForm = parsed.Items, parsed.StringForm
	x.call.Target, x.call.DeadlineSeconds = parsed.Target, parsed.DeadlineSeconds
	if refused == nil && problem != "" {
		refused = refuse(api.Invalid(problem))
	}
	return refused
}

// parseAll reads no body: what Vercel's command line sends there is undocumented.
func (e *Emulator) parseAll(x *exchange, _ []byte) *answer { return parseQuery(x) }

func (e *Emulator) parseShow(x *exchange, _ []byte) *answer {
	x.call.Project = api.ProjectAt(x.call.Path)
	return nil
}
