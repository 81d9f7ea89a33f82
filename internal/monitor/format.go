package monitor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/edgepurge/edgepurge/tasks"
)

// Bounds of what is shown of one task.
const (
	shownItems     = 50
	shownItemBytes = 256
	shownRawBytes  = 4 << 10
)

// shown is a payload for people; asynqmon prints it as indented JSON.
type shown struct {
	Summary    string   `json:"summary"`
	Answer     string   `json:"answer,omitempty"`
	Account    string   `json:"account,omitempty"`
	Project    string   `json:"project"`
	Tags       []string `json:"tags,omitempty"`
	SrcImages  []string `json:"src_images,omitempty"`
	Lane       string   `json:"lane,omitempty"`
	Source     string   `json:"source,omitempty"`
	Settle     string   `json:"settle,omitempty"`
	Rebound    string   `json:"rebound,omitempty"`
	NotBefore  string   `json:"not_before,omitempty"`
	Asked      string   `json:"requested_at,omitempty"`
	Claimed    string   `json:"claimed_at,omitempty"`
	Attempts   int      `json:"calls_made,omitempty"`
	Identifier string   `json:"id,omitempty"`
}

// formatPayload makes a payload readable: what is to be purged, and for a dead
// letter what Vercel answered. What is not ours is shown as it is, bounded.
func formatPayload(typename string, payload []byte) string {
	switch typename {
	case tasks.TypeRequest:
		if p, err := tasks.DecodePurge(payload); err == nil {
			return formatRequest(&p)
		}
	case tasks.TypeCall:
		if c, err := tasks.DecodeCall(payload); err == nil {
			return formatCall(&c)
		}
	}
	return formatResult(typename, payload)
}

// formatResult bounds bytes that nobody knows.
func formatResult(_ string, raw []byte) string {
	if !utf8.Valid(raw) {
		return fmt.Sprintf("%d bytes that are no text", len(raw))
	}
	return clip(string(raw), shownRawBytes)
}

func formatRequest(p *tasks.Purge) string {
	s := shown{
		Summary: summary(p.Operation, len(p.Tags), len(p.SrcImages), p.Project, p.Target),
		Project: p.Project, Tags: clipAll(p.Tags), SrcImages: clipAll(p.SrcImages),
		Source: p.Source, Settle: span(p.Settle), Rebound: span(p.Rebound),
		NotBefore: stamp(p.NotBefore), Asked: stamp(p.RequestedAt), Identifier: p.ID,
	}
	if p.Priority != "" && p.Priority != tasks.Normal {
		s.Summary = string(p.Priority) + ": " + s.Summary
	}
	return s.String()
}

func formatCall(c *tasks.Call) string {
	s := shown{
		Project: c.Lane.Project, Account: c.Account, Lane: c.Lane.ID(),
		Claimed: stamp(c.ClaimedAt), Attempts: c.Attempt, Identifier: c.Batch,
	}
	tags, images := len(c.Items), 0
	if c.Lane.Kind == tasks.SrcImage {
		tags, images = 0, len(c.Items)
		s.SrcImages = clipAll(c.Items)
	} else {
		s.Tags = clipAll(c.Items)
	}
	s.Summary = summary(c.Lane.Operation, tags, images, c.Lane.Project, c.Lane.Target)
	if c.Verdict != nil {
		s.Answer = clip(c.Verdict.Error(), shownItemBytes*4)
	}
	return s.String()
}

// String is the JSON, with < and > as they are: asynqmon escapes by itself.
func (s *shown) String() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return "" // no field of it can fail
	}
	return strings.TrimSpace(b.String())
}

func summary(o tasks.Operation, tags, images int, project string, target tasks.Target) string {
	var what []string
	if tags > 0 {
		what = append(what, count(int64(tags), "tag"))
	}
	if images > 0 {
		what = append(what, count(int64(images), "source image"))
	}
	text := fmt.Sprintf("%s %s of %s", o, strings.Join(what, " and "), project)
	if target != tasks.AllTargets {
		text += " in " + string(target)
	}
	return text
}

func clipAll(items []string) []string {
	list := make([]string, 0, min(len(items), shownItems)+1)
	for _, item := range items[:min(len(items), shownItems)] {
		list = append(list, clip(item, shownItemBytes))
	}
	if more := len(items) - shownItems; more > 0 {
		list = append(list, fmt.Sprintf("… and %s more", number(int64(more))))
	}
	return list
}

// clip bounds a text. It leaves no part of a character.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
