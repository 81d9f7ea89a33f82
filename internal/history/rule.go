package history

import (
	"strings"

	"github.com/edgepurge/edgepurge/tasks"
)

// Rule is an escalation that was asked for: a call with the tag To, of the same family and
// as late as the item's own would have to be, covers each tag that matches.
type Rule struct {
	Project string
	// Match is a tag, or the beginning of tags and "*"; empty is every tag.
	Match string
	To    string
}

func (r *Rule) covers(k key) bool {
	begin, prefix := strings.CutSuffix(r.Match, "*")
	return k.Project == r.Project && k.Kind == tasks.Tag &&
		(r.Match == "" || k.item == r.Match || prefix && strings.HasPrefix(k.item, begin))
}

// instead lists what may cover an item: what rules put in its place, and in that one's.
func instead(k key, rules []Rule) []key {
	seen := map[string]bool{k.item: true}
	found := []key{k}
	for at := 0; at < len(found); at++ {
		for i := range rules {
			if to := rules[i].To; rules[i].covers(found[at]) && !seen[to] {
				seen[to] = true
				found = append(found, key{k.Family, to})
			}
		}
	}
	return found[1:]
}
