package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/edgepurge/edgepurge/tasks"
)

// Schema bounds the items of a call. Zero fields are Vercel's OpenAPI.
type Schema struct {
	MaxTags      int // of the array form; 0: 16
	MaxSrcImages int // 0: 8
	// MaxTagsInString bounds the tags of the string form. Vercel documents only
	// the length of the string; 0: as many as 8196 characters hold.
	MaxTagsInString int
}

func (s Schema) withDefaults() Schema {
	if s.MaxTags == 0 {
		s.MaxTags = tasks.MaxTagsPerCall
	}
	if s.MaxSrcImages == 0 {
		s.MaxSrcImages = tasks.MaxSrcImagesPerCall
	}
	return s
}

// Body is what a purge's body says.
type Body struct {
	Items []string
	// StringForm says that the tags came as one string.
	StringForm bool
	Target     tasks.Target
	// DeadlineSeconds is tasks.NoDeadline if none was sent.
	DeadlineSeconds int
}

// Parse checks a body against the schema of its endpoint, as Vercel's OpenAPI
// has it. The problem is the first one, in the words of a JSON schema validator;
// empty: none. What could be read is returned even so.
func (s Schema) Parse(e Endpoint, body []byte) (p Body, problem string) {
	s = s.withDefaults()
	kind, operation := e.Kind, e.Operation
	p.DeadlineSeconds = tasks.NoDeadline
	fields, problem := object(body)
	if problem != "" {
		return p, problem
	}
	note := func(text string) {
		if problem == "" {
			problem = text
		}
	}
	required := "tags"
	if kind == tasks.SrcImage {
		required = "srcImages"
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !known(name, required, kind, operation) {
			note("should NOT have additional property `" + name + "`.")
		}
	}
	raw, ok := fields[required]
	switch {
	case !ok:
		note("missing required property `" + required + "`.")
	case kind == tasks.SrcImage:
		var text string
		p.Items, text = s.images(raw)
		note(text)
	default:
		var text string
		p.Items, p.StringForm, text = s.tags(raw)
		note(text)
	}
	if raw, ok := fields["target"]; ok && kind == tasks.Tag {
		var text string
		p.Target, text = target(raw)
		note(text)
	}
	if raw, ok := fields["revalidationDeadlineSeconds"]; ok && operation == tasks.Delete {
		var text string
		p.DeadlineSeconds, text = deadline(raw)
		note(text)
	}
	return p, problem
}

func known(name, required string, kind tasks.Kind, operation tasks.Operation) bool {
	switch name {
	case required:
		return true
	case "target":
		return kind == tasks.Tag
	case "revalidationDeadlineSeconds":
		return operation == tasks.Delete
	}
	return false
}

// object reads a JSON object into its fields, names compared exactly.
func object(body []byte) (map[string]json.RawMessage, string) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, "should be object."
	}
	if tasks.CheckText(body) != nil {
		return nil, "body is not valid JSON."
	}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(body, &fields)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok || (err == nil && fields == nil) {
		return nil, "should be object."
	}
	if err != nil {
		return nil, "body is not valid JSON."
	}
	return fields, ""
}

func (s Schema) images(raw json.RawMessage) ([]string, string) {
	images, problem := stringsOf("srcImages", raw)
	if problem == "" {
		problem = count("srcImages", len(images), s.MaxSrcImages)
	}
	if problem == "" {
		problem = lengths("srcImages", images, tasks.MaxSrcImageBytes)
	}
	return images, problem
}

func (s Schema) tags(raw json.RawMessage) (tags []string, stringForm bool, problem string) {
	if raw[0] != '"' {
		tags, problem = stringsOf("tags", raw)
		if problem == "" {
			problem = count("tags", len(tags), s.MaxTags)
		}
	} else {
		tags, problem = s.tagString(raw)
		stringForm = true
	}
	if problem == "" {
		problem = lengths("tags", tags, tasks.MaxTagBytes)
	}
	if problem != "" {
		return tags, stringForm, problem
	}
	for i, tag := range tags { // newer copies of Vercel's documentation count bytes
		if len(tag) > tasks.MaxTagBytes {
			return tags, stringForm, fmt.Sprintf("`tags[%d]` should NOT be longer than %d bytes.", i, tasks.MaxTagBytes)
		}
	}
	return tags, stringForm, ""
}

func (s Schema) tagString(raw json.RawMessage) ([]string, string) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, "`tags` should be string."
	}
	tags := strings.Split(text, ",")
	switch {
	case text == "":
		return nil, "`tags` should NOT be shorter than 1 characters."
	case utf8.RuneCountInString(text) > tasks.MaxTagStringBytes:
		return tags, fmt.Sprintf("`tags` should NOT be longer than %d characters.", tasks.MaxTagStringBytes)
	case s.MaxTagsInString > 0:
		return tags, count("tags", len(tags), s.MaxTagsInString)
	}
	return tags, ""
}

// stringsOf reads an array of strings; null is no string.
func stringsOf(field string, raw json.RawMessage) ([]string, string) {
	var values []any // not []string, which takes null for ""
	if raw[0] != '[' || json.Unmarshal(raw, &values) != nil {
		return nil, "`" + field + "` should be array."
	}
	items := make([]string, 0, len(values))
	for i, v := range values {
		item, ok := v.(string)
		if !ok {
			return items, fmt.Sprintf("`%s[%d]` should be string.", field, i)
		}
		items = append(items, item)
	}
	return items, ""
}

// count words the message that Vercel was seen to answer with 17 tags.
func count(field string, n, most int) string {
	switch {
	case n == 0:
		return "`" + field + "` should NOT have fewer than 1 items."
	case n > most:
		return fmt.Sprintf("`%s` should NOT have more than %d items.", field, most)
	}
	return ""
}

// lengths counts characters, as JSON schema does. That an item is not empty is
// stricter than the OpenAPI, which has no minLength.
func lengths(field string, items []string, most int) string {
	for i, item := range items {
		if item == "" {
			return fmt.Sprintf("`%s[%d]` should NOT be shorter than 1 characters.", field, i)
		}
		if len(item) > most && utf8.RuneCountInString(item) > most {
			return fmt.Sprintf("`%s[%d]` should NOT be longer than %d characters.", field, i, most)
		}
	}
	return ""
}

func target(raw json.RawMessage) (tasks.Target, string) {
	switch t := string(raw); t {
	case `"production"`:
		return tasks.Production, ""
	case `"preview"`:
		return tasks.Preview, ""
	}
	if raw[0] != '"' {
		return "", "`target` should be string."
	}
	return "", "`target` should be equal to one of the allowed values \"production, preview\"."
}

// deadline reads a JSON integer: 60.0 and 6e1 are integers to a JSON schema.
func deadline(raw json.RawMessage) (int, string) {
	const field = "`revalidationDeadlineSeconds`"
	n, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case err != nil || n != math.Trunc(n):
		return tasks.NoDeadline, field + " should be integer."
	case n < 0:
		return tasks.NoDeadline, field + " should be >= 0."
	case n > tasks.MaxDeadlineSeconds:
		return tasks.NoDeadline, fmt.Sprintf("%s should be <= %d.", field, tasks.MaxDeadlineSeconds)
	}
	return int(n), ""
}
