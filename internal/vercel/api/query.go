package api

import (
	"net/url"
	"slices"
)

// Query is what the query of a purge says.
type Query struct {
	Project string // id or name
	Team    string // id or slug; empty: none was named
}

// ParseQuery reads the query that all purges have. The official clients send
// it as the OpenAPI says: projectIdOrName, and teamId or slug or neither. The
// problem is as Schema.Parse has it.
func ParseQuery(query url.Values) (q Query, problem string) {
	q = Query{Project: query.Get("projectIdOrName"), Team: query.Get("teamId") + query.Get("slug")}
	if q.Project == "" {
		return q, "missing required property `projectIdOrName`."
	}
	if query.Has("teamId") && query.Has("slug") {
		return q, "only one of `teamId` and `slug` should be given."
	}
	for _, key := range []string{"teamId", "slug", "projectIdOrName"} {
		if values := query[key]; len(values) > 1 || slices.Contains(values, "") {
			return q, "`" + key + "` should be one string that is not empty."
		}
	}
	return q, ""
}
