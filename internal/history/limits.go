package history

import (
	"fmt"

	"github.com/edgepurge/edgepurge/tasks"
)

// Breach is a call that broke a limit of the API.
type Breach struct {
	Call Call
	// Problem says which limit, for people.
	Problem string
}

// breaches holds the calls against Vercel's limits, the ones that were refused
// too: such a call should never have been made.
func breaches(calls []Call) []Breach {
	var found []Breach
	for _, c := range calls {
		if problem := breach(&c); problem != "" {
			found = append(found, Breach{Call: c, Problem: problem})
		}
	}
	return found
}

func breach(c *Call) string {
	bytes := len(c.Items) - 1
	for _, item := range c.Items {
		bytes += len(item)
		if err := tasks.CheckItem(c.Kind, item); err != nil {
			return err.Error()
		}
	}
	switch most := mostItems(c.Kind); {
	case len(c.Items) == 0 && c.OK: // of a call that it refuses, the far side may not read the items
		return "holds no items"
	case c.StringForm && bytes > tasks.MaxTagStringBytes:
		return fmt.Sprintf("its string is %d bytes long, the limit is %d", bytes, tasks.MaxTagStringBytes)
	case !c.StringForm && len(c.Items) > most:
		return fmt.Sprintf("holds %d items, the limit of kind %s is %d", len(c.Items), c.Kind, most)
	}
	return ""
}
