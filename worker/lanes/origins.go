package lanes

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"github.com/edgepurge/edgepurge/tasks"
)

// Origin is a request that waits for an item. It is for people and traces:
// nothing is decided by it, and beyond the bounds of script/origins.lua there is none.
type Origin struct {
	Request string // its id
	Trace   string // the W3C traceparent of its intake; empty: not sampled, or no tracing
	Source  string // who asked; empty: the request did not say
}

const nothing = "-"

// line is how the scripts keep it: what is missing at the end is left out.
func (o Origin) line() string {
	source := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar // a line end would begin another origin
		}
		return r
	}, o.Source)
	trace := o.Trace
	if trace == "" && source != "" {
		trace = nothing
	}
	return strings.TrimRight(o.Request+" "+trace+" "+source, " ")
}

func parseOrigin(line string) Origin {
	request, rest, _ := strings.Cut(line, " ")
	trace, source, _ := strings.Cut(rest, " ")
	if trace == nothing {
		trace = ""
	}
	return Origin{request, trace, source}
}

// Origins are the requests that wait for the items of a batch: of each item those
// that its call covers, the newest four. The zero value knows none.
type Origins struct {
	texts []string // different ones, a line an origin
	of    []int    // of each item: 1 + the place of its text; 0: none
}

// wireOrigins is what the scripts and the header of a task hold of Origins.
type wireOrigins struct {
	Origins  []string `json:"origins,omitempty"`
	OriginOf []int    `json:"origin_of,omitempty"`
}

// originsOf checks what somebody else wrote: what does not fit n items is worth
// no fault, for nothing rests on it. A single text without places is that of all.
func originsOf(texts []string, of []int, n int) Origins {
	if len(texts) == 1 && len(of) == 0 {
		of = slices.Repeat([]int{1}, n)
	}
	if len(texts) == 0 || len(of) != n {
		return Origins{}
	}
	for _, place := range of {
		if place < 0 || place > len(texts) {
			return Origins{}
		}
	}
	return Origins{texts, of}
}

// Encode writes the origins for the header of a task; empty if there are none.
func (o Origins) Encode() string {
	if len(o.texts) == 0 {
		return ""
	}
	text, _ := json.Marshal(wireOrigins{o.texts, o.of}) // strings and numbers: it cannot fail
	return string(text)
}

// DecodeOrigins reads the origins of a batch of n items; none, if text is not theirs.
func DecodeOrigins(text string, n int) Origins {
	var w wireOrigins
	if text == "" || json.Unmarshal([]byte(text), &w) != nil {
		return Origins{}
	}
	return originsOf(w.Origins, w.OriginOf, n)
}

// Slice returns the origins of the items from one place up to another, as a
// slice expression does.
func (o Origins) Slice(from, to int) Origins {
	var part Origins
	if len(o.texts) == 0 {
		return part
	}
	part.of = make([]int, 0, to-from)
	places := map[int]int{0: 0}
	for _, place := range o.of[from:to] {
		if _, seen := places[place]; !seen {
			part.texts = append(part.texts, o.texts[place-1])
			places[place] = len(part.texts)
		}
		part.of = append(part.of, places[place])
	}
	return part
}

// All lists the origins, each request once, those of the first items first.
func (o Origins) All() []Origin {
	var all []Origin
	seen := map[string]bool{}
	for _, text := range o.texts {
		for line := range strings.SplitSeq(text, "\n") {
			origin := parseOrigin(line)
			if origin.Request == "" || seen[origin.Request] || len(origin.Request) > tasks.MaxIDBytes {
				continue
			}
			seen[origin.Request] = true
			all = append(all, origin)
		}
	}
	return all
}

// texts reads a list of texts that a script answered.
func texts(v any) []string {
	list, _ := v.([]any)
	all := make([]string, len(list))
	for i := range list {
		all[i], _ = list[i].(string)
	}
	return all
}

// integers reads a list of numbers that a script answered.
func integers(v any) []int {
	list, _ := v.([]any)
	all := make([]int, len(list))
	for i := range list {
		all[i] = integer(list[i])
	}
	return all
}
