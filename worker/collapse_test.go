package worker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCollapse_Matches(t *testing.T) {
	for _, c := range []struct {
		match, to string
		yes, no   []string
	}{
		{"", "all", []string{"a", "*", ""}, []string{"all"}},
		{"*", "*", []string{"a", "all"}, []string{"*"}},
		{"product:*", "products", []string{"product:", "product:1", "product:*"}, []string{"products", "product", "Product:1", "a product:1"}},
		{"product:*", "product:all", []string{"product:1"}, []string{"product:all"}},
		{"home", "start", []string{"home"}, []string{"home2", "hom", "start", ""}},
		{"p?", "all", []string{"p?"}, []string{"pa"}},
	} {
		rule := Collapse{Match: c.match, To: c.to}
		for _, tag := range c.yes {
			assert.True(t, rule.matches(tag), "%s: %q", c.match, tag)
		}
		for _, tag := range c.no {
			assert.False(t, rule.matches(tag), "%s: %q", c.match, tag)
		}
	}
}

func TestCollapse_Fires(t *testing.T) {
	for _, c := range []struct {
		name     string
		over     int
		age      time.Duration
		matching int
		waited   time.Duration
		want     bool
	}{
		{"as many as over", 200, 0, 200, time.Hour, false},
		{"one more", 200, 0, 201, 0, true},
		{"due ahead", 200, 0, 201, -time.Second, false},
		{"nothing matches", 0, time.Minute, 0, time.Hour, false},
		{"too young", 0, time.Minute, 1, time.Minute - 1, false},
		{"old enough", 0, time.Minute, 1, time.Minute, true},
		{"both: too few", 5, time.Minute, 5, time.Hour, false},
		{"both: too young", 5, time.Minute, 6, time.Second, false},
		{"both", 5, time.Minute, 6, time.Minute, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			rule := Collapse{Over: c.over, Age: c.age}
			assert.Equal(t, c.want, rule.fires(c.matching, c.waited))
			assert.Equal(t, c.want, mayFire([]Collapse{{Over: 1e6}, rule}, c.matching, c.waited))
		})
	}
	assert.False(t, mayFire(nil, 1e6, time.Hour))
}

func TestCollapse_String(t *testing.T) {
	assert.Equal(t, "product:* (over 200)", Collapse{Match: "product:*", Over: 200}.String())
	assert.Equal(t, "* (due for 10m0s)", Collapse{Age: 10 * time.Minute}.String())
	assert.Equal(t, "* (over 5000, due for 1h0m0s)", Collapse{Match: "*", Over: 5000, Age: time.Hour}.String())
}

func TestCollapseTags(t *testing.T) {
	products := Collapse{Match: "product:*", Over: 2, To: "products"}
	all := Collapse{Over: 3, To: "*"}
	for _, c := range []struct {
		name  string
		rules []Collapse
		tags  string
		left  string
		did   []string // rule and how many tags
	}{
		{"no rules", nil, "a b", "a b", nil},
		{"too few", []Collapse{products}, "product:1 product:2 a", "product:1 product:2 a", nil},
		{"too young", []Collapse{{Age: time.Second, To: "*"}}, "a b", "a b", nil},
		{"enough", []Collapse{products}, "product:1 a product:2 b product:3", "a b products", []string{"product:* (over 2) 3"}},
		{"what takes their place is there", []Collapse{products}, "product:1 products product:2 product:3", "products", []string{"product:* (over 2) 3"}},
		{"and counts for a later rule", []Collapse{products, all}, "product:1 product:2 product:3 a b c", "*", []string{"product:* (over 2) 3", "* (over 3) 4"}},
		{"each on what the earlier left", []Collapse{products, all}, "product:1 product:2 product:3 a b", "a b products", []string{"product:* (over 2) 3"}},
		{"in order", []Collapse{all, products}, "product:1 product:2 product:3 a", "*", []string{"* (over 3) 4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			left, collapsed := CollapseTags(c.rules, strings.Fields(c.tags))
			assert.Equal(t, strings.Fields(c.left), left)
			var did []string
			for _, one := range collapsed {
				did = append(did, fmt.Sprintf("%s %d", one.Rule, len(one.Tags)))
			}
			assert.Equal(t, c.did, did)
		})
	}
}

// Each fault names its field and what would be right.
func TestValidate_Collapse(t *testing.T) {
	for _, c := range []struct {
		rule Collapse
		want string // "": none
	}{
		{Collapse{Over: 1, To: "*"}, ""},
		{Collapse{Match: "*", Over: 1_000_000, Age: 720 * time.Hour, To: "all"}, ""},
		{Collapse{Match: "home", Age: time.Nanosecond, To: "start"}, ""},
		{Collapse{Match: "product:*", Over: 200, To: "product:all"}, ""},
		{Collapse{To: "*"}, "projects[0].collapse[1]: says neither how much nor for how long: set over, age or both"},
		{Collapse{Over: -1, To: "*"}, "projects[0].collapse[1].over: -1 is out of range: use 0 to 1000000"},
		{Collapse{Over: 1_000_001, To: "*"}, "projects[0].collapse[1].over: 1000001 is out of range: use 0 to 1000000"},
		{Collapse{Age: -1, To: "*"}, "projects[0].collapse[1].age: -1ns is out of range: use 0s to 720h0m0s"},
		{Collapse{Age: 720*time.Hour + 1, To: "*"}, "projects[0].collapse[1].age: 720h0m0.000000001s is out of range: use 0s to 720h0m0s"},
		{Collapse{Match: "a*b", Over: 1, To: "*"}, `projects[0].collapse[1].match: "a*b" must be a tag, or the beginning of tags and one "*"`},
		{Collapse{Match: "**", Over: 1, To: "*"}, `projects[0].collapse[1].match: "**" must be a tag, or the beginning of tags and one "*"`},
		{Collapse{Match: "home", Over: 1, To: "*"}, `projects[0].collapse[1].over: 1 is never exceeded by the one tag "home": leave it out and use age, or end match with "*"`},
		{Collapse{Match: "home", Age: 1, To: "home"}, `projects[0].collapse[1].match: "home" is what takes the place of the others: it never matches`},
		{Collapse{Over: 1}, `projects[0].collapse[1].to: is empty: name the tag that takes their place, or "*" for the whole project`},
		{Collapse{Over: 1, To: "a,b"}, `projects[0].collapse[1].to: holds a comma, which Vercel reads as a separator: "a,b": name the tag that takes their place, or "*" for the whole project`},
	} {
		config := valid()
		config.Projects[0].Collapse = []Collapse{{Over: 1, To: "*"}, c.rule}
		err := config.Validate()
		if c.want == "" {
			assert.NoError(t, err, "%+v", c.rule)
			continue
		}
		assert.EqualError(t, err, c.want)
	}
	config := valid()
	config.Projects[0].Collapse = make([]Collapse, 17)
	fields := faultsOf(t, config.Validate())
	assert.Equal(t, "projects[0].collapse", fields[0])
	assert.Equal(t, "projects[0].collapse[16].to", fields[len(fields)-1], "all at once")
	f, ok := errors.AsType[*FieldError](config.Validate())
	require.True(t, ok)
	assert.Equal(t, "17 rules are too many: use at most 16", f.Problem)
}
