package api

import "github.com/edgepurge/edgepurge/tasks"

// Endpoint is one of the API's four ways to purge, all of them by POST.
type Endpoint struct {
	Kind      tasks.Kind
	Operation tasks.Operation
}

// Endpoints are the API's, by path.
var Endpoints = map[string]Endpoint{
	"/v1/edge-cache/dangerously-delete-by-tags":       {tasks.Tag, tasks.Delete},
	"/v1/edge-cache/invalidate-by-tags":               {tasks.Tag, tasks.Invalidate},
	"/v1/edge-cache/dangerously-delete-by-src-images": {tasks.SrcImage, tasks.Delete},
	"/v1/edge-cache/invalidate-by-src-images":         {tasks.SrcImage, tasks.Invalidate},
}

// Paths of the purges of a whole project. They are not in Vercel's OpenAPI; its
// command line calls them.
const (
	PurgeAllPath     = "/v1/edge-cache/purge-all" // POST
	PurgeAllDataPath = "/v1/data-cache/purge-all" // DELETE
)
