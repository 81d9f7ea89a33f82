package api

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// What Vercel's command line asks before it purges. The bodies hold what it
// reads, and are plausible otherwise.

type record map[string]any

// born is when everything was created, in epoch milliseconds.
const born = 1_700_000_000_000

// ShowPaths are the paths at which GET is answered by Show; one that ends in a
// slash needs an id behind it.
var ShowPaths = []string{userPath, "/v2/teams/", "/teams/", projectPath}

const (
	userPath    = "/v2/user"
	projectPath = "/v9/projects/"
)

// ShowsAt reports whether path is one that Show answers.
func ShowsAt(path string) bool {
	return path == userPath || slices.Contains(ShowPaths[1:], path[:len(path)-len(lastSegment(path))]) && lastSegment(path) != ""
}

// ProjectAt returns the project that a path asks for; empty: none.
func ProjectAt(path string) string {
	if !strings.HasPrefix(path, projectPath) {
		return ""
	}
	return lastSegment(path)
}

// Show answers a path that ShowsAt: who the asker is, and a team or a project
// that goes by the id or name asked for. Nothing is known of them but that, so
// the rest is made up, the same every time.
func Show(path, asker, team string) any {
	user := "usr_" + digest(asker)
	switch last := lastSegment(path); {
	case path == userPath:
		return record{"user": record{
			"id": user, "email": "edgepurge@example.com", "name": asker, "username": "edgepurge",
			"avatar": nil, "defaultTeamId": nil, "createdAt": born, "limited": false,
		}}
	case strings.HasPrefix(path, projectPath):
		id, name := identify("prj_", last)
		if team == "" {
			team = user
		}
		return record{
			"id": id, "name": name, "accountId": team, "framework": nil,
			"createdAt": born, "updatedAt": born, "nodeVersion": "24.x", "live": false,
		}
	default:
		id, slug := identify("team_", last)
		return record{
			"id": id, "slug": slug, "name": slug, "avatar": nil, "createdAt": born,
			"creatorId": user, "membership": record{"role": "OWNER", "confirmed": true},
		}
	}
}

func lastSegment(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// identify makes the id and the name of a thing from whichever was asked for.
func identify(prefix, asked string) (id, name string) {
	if rest, ok := strings.CutPrefix(asked, prefix); ok {
		return asked, strings.ToLower(rest)
	}
	return prefix + digest(asked), asked
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:12])
}
