package deadletter

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/edgepurge/edgepurge/tasks"
)

// Summary is a letter without its payload: what lists, counts and filters need.
type Summary struct {
	Key
	Type string
	// Reason and Message are as of Letter; the message is clipped.
	Reason, Message  string
	Died             time.Time
	Attempts         int
	Account, Project string
	Operation        tasks.Operation
	Kind             tasks.Kind // of a call
	// Items counts the items, of which First are a few, clipped. Both are empty for
	// a delivery.
	Items int
	First []string
	// Source is who asked: of a request, or the webhook of a delivery.
	Source string
	// Unverified is set for a delivery that nothing proved genuine.
	Unverified bool
	// Bytes is what the letter takes up; -1: nothing is left of it but its place.
	Bytes int
	// Unreadable is set if the payload cannot be read.
	Unreadable bool
}

// Bounds of a summary.
const (
	summaryMessage = 400
	summaryItems   = 3
	summaryItem    = 100
)

// Summary is the letter without its payload.
func (l *Letter) Summary() Summary {
	s := Summary{
		Key: l.Key, Type: l.Type, Reason: l.Reason, Message: clip(l.Message, summaryMessage), Died: l.Died, Attempts: l.Attempts,
		Account: l.Account(), Project: l.Project(), Operation: l.Operation(), Bytes: len(l.Payload), Unreadable: l.Fault != nil,
	}
	if l.Call != nil {
		s.Kind = l.Call.Lane.Kind
	}
	for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
		items := l.Items(kind)
		s.Items += len(items)
		for _, item := range items[:min(len(items), summaryItems-min(summaryItems, len(s.First)))] {
			s.First = append(s.First, clip(item, summaryItem))
		}
	}
	if l.Request != nil {
		s.Source = l.Request.Source
	}
	if l.Delivery != nil {
		s.Source, s.Unverified = l.Delivery.Source, l.Delivery.Unverified
	}
	return s
}

// clip bounds a text and leaves no part of a character.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// indexed is a Summary as the index in Redis holds it. At is the score of the letter
// in asynq's archive: one that died again has another.
type indexed struct {
	At         float64         `json:"at"`
	Type       string          `json:"type"`
	Reason     string          `json:"reason"`
	Message    string          `json:"message,omitempty"`
	DiedMS     int64           `json:"died_ms,omitempty"`
	Attempts   int             `json:"attempts"`
	Account    string          `json:"account,omitempty"`
	Project    string          `json:"project,omitempty"`
	Operation  tasks.Operation `json:"operation,omitempty"`
	Kind       tasks.Kind      `json:"kind,omitempty"`
	Items      int             `json:"items,omitempty"`
	First      []string        `json:"first,omitempty"`
	Source     string          `json:"source,omitempty"`
	Unverified bool            `json:"unverified,omitempty"`
	Bytes      int             `json:"bytes"`
	Unreadable bool            `json:"unreadable,omitempty"`
}

func (s *Summary) index(at float64) ([]byte, error) {
	i := indexed{
		At: at, Type: s.Type, Reason: s.Reason, Message: s.Message, Attempts: s.Attempts, Account: s.Account, Project: s.Project,
		Operation: s.Operation, Kind: s.Kind, Items: s.Items, First: s.First, Source: s.Source, Unverified: s.Unverified,
		Bytes: s.Bytes, Unreadable: s.Unreadable,
	}
	if !s.Died.IsZero() {
		i.DiedMS = s.Died.UnixMilli()
	}
	return json.Marshal(i)
}

// fromIndex reads an entry of the index; false if it is not of the letter that was
// archived then, or cannot be read.
func fromIndex(k Key, text string, at float64) (Summary, bool) {
	var i indexed
	if json.Unmarshal([]byte(text), &i) != nil || i.At != at || i.Reason == "" {
		return Summary{}, false
	}
	s := Summary{
		Key: k, Type: i.Type, Reason: i.Reason, Message: i.Message, Attempts: i.Attempts, Account: i.Account, Project: i.Project,
		Operation: i.Operation, Kind: i.Kind, Items: i.Items, First: i.First, Source: i.Source, Unverified: i.Unverified,
		Bytes: i.Bytes, Unreadable: i.Unreadable,
	}
	if i.DiedMS != 0 {
		s.Died = time.UnixMilli(i.DiedMS).UTC()
	}
	return s, true
}

// deliveryHead reads the beginning of a delivery's payload: all but the body, which
// comes last, and the headers if they are large.
func deliveryHead(head []byte) (Delivery, bool) {
	var d Delivery
	decoder := json.NewDecoder(bytes.NewReader(head))
	if _, err := decoder.Token(); err != nil {
		return d, false
	}
	version := 0
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			break
		}
		var target any
		switch name {
		case "v":
			target = &version
		case "source":
			target = &d.Source
		case "received_at":
			target = &d.ReceivedAt
		case "reason":
			target = &d.Reason
		case "unverified":
			target = &d.Unverified
		default:
			target = new(json.RawMessage)
		}
		if decoder.Decode(target) != nil {
			break
		}
	}
	return d, version == 1 && d.Source != ""
}
