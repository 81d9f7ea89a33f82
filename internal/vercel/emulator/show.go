package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// What Vercel's command line asks before it purges. The bodies hold what it
// reads, and are plausible otherwise.

type record map[string]any

// born is when everything in the emulator was created, in epoch milliseconds.
const born = 1_700_000_000_000

func showUser(x *exchange) answer {
	id := "usr_" + digest(x.call.Token)
	return shown(record{"user": record{
		"id": id, "email": "emulator@example.com", "name": "Emulator", "username": "emulator",
		"avatar": nil, "defaultTeamId": nil, "createdAt": born, "limited": false,
	}})
}

func showTeam(x *exchange) answer {
	id, slug := identify("team_", lastSegment(x.call.Path))
	return shown(record{
		"id": id, "slug": slug, "name": slug, "avatar": nil, "createdAt": born,
		"creatorId": "usr_" + digest(x.call.Token), "membership": record{"role": "OWNER", "confirmed": true},
	})
}

func showProject(x *exchange) answer {
	id, name := identify("prj_", lastSegment(x.call.Path))
	account := x.call.Team
	if account == "" {
		account = "usr_" + digest(x.call.Token)
	}
	return shown(record{
		"id": id, "name": name, "accountId": account, "framework": nil,
		"createdAt": born, "updatedAt": born, "nodeVersion": "24.x", "live": false,
	})
}

func shown(body record) answer { return answer{status: http.StatusOK, body: body} }

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
