package emulator

import (
	"net/http"
	"slices"
	"strings"

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
	// show answers a route that does not purge.
	show func(x *exchange) answer
}

var routes = map[string]route{
	"/v1/edge-cache/dangerously-delete-by-tags":       purgeRoute(tasks.Tag, tasks.Delete),
	"/v1/edge-cache/invalidate-by-tags":               purgeRoute(tasks.Tag, tasks.Invalidate),
	"/v1/edge-cache/dangerously-delete-by-src-images": purgeRoute(tasks.SrcImage, tasks.Delete),
	"/v1/edge-cache/invalidate-by-src-images":         purgeRoute(tasks.SrcImage, tasks.Invalidate),
	// Not in Vercel's OpenAPI; its command line calls them.
	"/v1/edge-cache/purge-all": allRoute(http.MethodPost),
	"/v1/data-cache/purge-all": allRoute(http.MethodDelete),
	"/v2/user":                 showRoute(showUser),
}

// prefixes are routes whose last path segment is an id.
var prefixes = map[string]route{
	"/v2/teams/":    showRoute(showTeam),
	"/teams/":       showRoute(showTeam),
	"/v9/projects/": showRoute(showProject),
}

func purgeRoute(kind tasks.Kind, operation tasks.Operation) route {
	return route{method: http.MethodPost, kind: kind, operation: operation, purges: true, parse: (*Emulator).parsePurge}
}

func allRoute(method string) route {
	return route{method: method, kind: KindAll, operation: tasks.Delete, purges: true, parse: (*Emulator).parseAll}
}

func showRoute(show func(*exchange) answer) route {
	return route{method: http.MethodGet, show: show, parse: (*Emulator).parseShow}
}

// findRoute returns the route of a request, or a 404 or 405.
func findRoute(r *http.Request) (route, *answer) {
	found, ok := routes[r.URL.Path]
	if !ok {
		cut := strings.LastIndexByte(r.URL.Path, '/') + 1
		if found, ok = prefixes[r.URL.Path[:cut]]; !ok || cut == len(r.URL.Path) {
			a := failure(http.StatusNotFound, "The requested API endpoint was not found")
			return route{}, &a
		}
	}
	if r.Method != found.method {
		a := failure(http.StatusMethodNotAllowed, "Method not allowed, use "+found.method)
		a.allow = found.method
		return route{}, &a
	}
	return found, nil
}

// parseQuery reads the query that all purges have. The official clients send
// it as the OpenAPI says: projectIdOrName, and teamId or slug or neither.
func parseQuery(x *exchange) *answer {
	query := x.r.URL.Query()
	x.call.Project = query.Get("projectIdOrName")
	if x.call.Project == "" {
		return invalid("missing required property `projectIdOrName`.")
	}
	if query.Has("teamId") && query.Has("slug") {
		return invalid("only one of `teamId` and `slug` should be given.")
	}
	for _, key := range []string{"teamId", "slug", "projectIdOrName"} {
		if values := query[key]; len(values) > 1 || slices.Contains(values, "") {
			return invalid("`" + key + "` should be one string that is not empty.")
		}
	}
	return nil
}

func (e *Emulator) parsePurge(x *exchange, body []byte) *answer {
	refused := parseQuery(x)
	parsed, problem := e.schema.parse(x.call.Kind, x.call.Operation, body)
	x.call.Items, x.call.StringForm = parsed.items, parsed.stringForm
	x.call.Target, x.call.DeadlineSeconds = parsed.target, parsed.deadline
	if refused == nil && problem != "" {
		refused = invalid(problem)
	}
	return refused
}

// parseAll reads no body: what Vercel's command line sends there is undocumented.
func (e *Emulator) parseAll(x *exchange, _ []byte) *answer { return parseQuery(x) }

func (e *Emulator) parseShow(x *exchange, _ []byte) *answer {
	if strings.HasPrefix(x.call.Path, "/v9/projects/") {
		x.call.Project = lastSegment(x.call.Path)
	}
	return nil
}

func lastSegment(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
