package worker

import (
	"fmt"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// Collapse is an escalation by consent: what it matches is replaced by To while too much
// of it is due. It purges more pages than were asked for, so it never happens unasked.
type Collapse struct {
	// Match is a tag, or the beginning of tags followed by "*"; empty or "*" is every tag.
	// To itself never counts as matching.
	Match string
	// Over is how many matching tags of a lane must be exceeded, up to 1e6; 0 is any number.
	// Age is for how long the oldest of them must have been due, up to 30 days; 0 is no
	// time. One of the two at least is set; where both are, both must hold.
	Over int
	Age  time.Duration
	// To is the tag that takes their place. "*" is the whole project.
	To string
}

// matches reports whether a tag is one of those that the rule replaces.
func (c *Collapse) matches(tag string) bool {
	begin, prefix := strings.CutSuffix(c.Match, "*")
	return tag != c.To && (c.Match == "" || tag == c.Match || prefix && strings.HasPrefix(tag, begin))
}

// fires reports whether the rule replaces so many matching tags, the oldest of which has
// been due for so long. With more, or for longer, it fires too.
func (c *Collapse) fires(matching int, waited time.Duration) bool {
	return matching > c.Over && waited >= c.Age
}

// String is the rule as people read it: "product:* (over 200)".
func (c Collapse) String() string {
	var when []string
	if c.Over > 0 {
		when = append(when, fmt.Sprintf("over %d", c.Over))
	}
	if c.Age > 0 {
		when = append(when, fmt.Sprintf("due for %s", c.Age))
	}
	match := c.Match
	if match == "" {
		match = "*"
	}
	return fmt.Sprintf("%s (%s)", match, strings.Join(when, ", "))
}

// Collapsed is what one rule replaced.
type Collapsed struct {
	Rule Collapse
	Tags []string
}

// CollapseTags applies rules to the distinct tags of one lane as if all of them were due
// from this instant on, and returns what is left in their order, with each To at the end,
// and what was replaced. A rule that asks for an age replaces nothing yet.
func CollapseTags(rules []Collapse, tags []string) (left []string, collapsed []Collapsed) {
	left = tags
	for i := range rules {
		rule := &rules[i]
		var matching, rest []string
		for _, tag := range left {
			switch {
			case rule.matches(tag):
				matching = append(matching, tag)
			case tag != rule.To:
				rest = append(rest, tag)
			}
		}
		if !rule.fires(len(matching), 0) {
			continue
		}
		left = append(rest, rule.To)
		collapsed = append(collapsed, Collapsed{*rule, matching})
	}
	return left, collapsed
}

const (
	// mostRules bounds the rules of a project: each may search a lane.
	mostRules = 16
	// mostOver bounds what a search of a lane may have to remember.
	mostOver = 1_000_000
)

func (c *Collapse) validate(at string, v *faults) {
	begin, prefix := strings.CutSuffix(c.Match, "*")
	one := c.Match != "" && !prefix
	switch {
	case strings.Contains(begin, "*"):
		v.add(at+".match", `%q must be a tag, or the beginning of tags and one "*"`, c.Match)
	case one && c.Match == c.To:
		v.add(at+".match", `%q is what takes the place of the others: it never matches`, c.Match)
	case one && c.Over > 0:
		v.add(at+".over", `%d is never exceeded by the one tag %q: leave it out and use age, or end match with "*"`, c.Over, c.Match)
	}
	v.count(at+".over", c.Over, 0, mostOver)
	v.between(at+".age", c.Age, 0, 30*24*time.Hour)
	if c.Over == 0 && c.Age == 0 {
		v.add(at, "says neither how much nor for how long: set over, age or both")
	}
	if err := tasks.CheckItem(tasks.Tag, c.To); err != nil {
		v.add(at+".to", `%v: name the tag that takes their place, or "*" for the whole project`, err)
	}
}
