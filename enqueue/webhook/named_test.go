package webhook

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// eachPlace calls each with every place below a JSON value, and set to put
// another value there or, with false, to take it out.
func eachPlace(v any, each func(now any, set func(any, bool))) {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range maps.Clone(v) {
			each(member, func(value any, there bool) {
				if v[key] = value; !there {
					delete(v, key)
				}
			})
			eachPlace(member, each)
		}
	case []any:
		for i := range v {
			each(v[i], func(value any, _ bool) { v[i] = value })
			eachPlace(v[i], each)
		}
	}
}

// marked returns a copy of a JSON value whose texts and numbers are others.
func marked(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for key, member := range v {
			m[key] = marked(member)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = marked(v[i])
		}
		return list
	case string:
		return "other-" + v
	case json.Number:
		return json.Number("9" + v.String())
	}
	return v
}

// What a delivery names is purged, whatever else in it is missing, null or of
// another form than it should be: Strapi sends an entry that is null. Which tags
// come from a place is found out by changing it.
func TestPresets_WhatIsNamedIsPurged(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, file := range []string{"payload_samples.json", "more_samples.json"} {
		var samples []sample
		load(t, file, &samples)
		for _, s := range samples {
			body, err := decodeJSON(s.delivery().Body)
			require.NoError(t, err)
			if !s.Accept || len(s.Tags) == 0 || s.Preset == "optimizely-graph" { // its names are keys, which marked leaves
				continue
			}
			h := compiled(t, source(t, s.Preset))
			planned := func() plan {
				d := s.delivery()
				d.Body, err = json.Marshal(body)
				require.NoError(t, err)
				return h.plan(t.Context(), d)
			}
			eachPlace(body, func(now any, set func(any, bool)) {
				defer set(now, true)
				set(marked(now), true)
				other := planned()
				for name, change := range map[string]func(){
					"null":          func() { set(nil, true) },
					`the text null`: func() { set("null", true) },
					"missing":       func() { set(nil, false) },
				} {
					change()
					p := planned()
					if !other.accepted || !p.accepted || p.problem != nil && p.operation == "" {
						continue // the place says what happened, not what is named
					}
					for _, tag := range s.Tags {
						if slices.Contains(other.tags, tag) { // it does not come from there
							checked++
							shown, _ := json.Marshal(now)
							assert.Contains(t, p.tags, tag, "%s: %s is %s in %s (%v)", s.Preset, shown, name, s.delivery().Body, p.problem)
						}
					}
				}
			})
		}
	}
	assert.Greater(t, checked, 300)
}
