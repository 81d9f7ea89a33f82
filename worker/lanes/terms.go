package lanes

import (
	"encoding/json"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// Terms are what each item of a batch waited with, besides its name: when it was due and
// the rebound that it asked for. Restore needs them to put the items back as if they had
// not been claimed. The zero value says that all items were due when the batch was and
// that none asked for a rebound; so do the records and tasks of workers that keep no terms.
type Terms struct {
	after    []int // how many ms after Batch.Due each item was due; one number: all of them; none: 0
	rebounds []int // in ms, likewise
}

// wireTerms is what the scripts and the header of a task hold of Terms.
type wireTerms struct {
	After    []float64 `json:"after,omitempty"` // cjson may write large numbers as 1.2e+09
	Rebounds []float64 `json:"rebounds,omitempty"`
}

// mostAfter bounds how far the due times of one batch lie apart.
const mostAfter = 10 * 365 * 24 * time.Hour

// termsOf checks what somebody else wrote: of what does not fit n items nothing is used,
// as if a worker had written it that keeps no terms.
func termsOf(w wireTerms, n int) Terms {
	return Terms{checked(w.After, n, mostAfter), checked(w.Rebounds, n, tasks.MaxWait)}
}

func checked(list []float64, n int, most time.Duration) []int {
	if len(list) != 1 && len(list) != n {
		return nil
	}
	var whole []int
	for _, v := range list {
		if v < 0 || v > float64(most.Milliseconds()) {
			return nil
		}
		whole = append(whole, int(v))
	}
	return whole
}

func (t Terms) wire() wireTerms { return wireTerms{floats(t.after), floats(t.rebounds)} }

func floats(list []int) []float64 {
	var all []float64
	for _, v := range list {
		all = append(all, float64(v))
	}
	return all
}

// Slice returns the terms of the items from one place up to another, as a slice
// expression does. Batch.Due stays what they count from.
func (t Terms) Slice(from, to int) Terms {
	return Terms{part(t.after, from, to), part(t.rebounds, from, to)}
}

func part(list []int, from, to int) []int {
	if len(list) < 2 {
		return list
	}
	return list[from:to]
}

// taskTerms is what the header of a task holds.
type taskTerms struct {
	Due   int64 `json:"due"`             // ms
	Noted int64 `json:"noted,omitempty"` // ms; 0: when the task says that the batch was claimed
	wireTerms
}

// EncodeTerms writes when the items of the batch were due, and their terms, for the
// header of a task.
func (b *Batch) EncodeTerms() string {
	t := taskTerms{Due: b.Due.UnixMilli(), wireTerms: b.Terms.wire()}
	if !b.noted.IsZero() {
		t.Noted = b.noted.UnixMilli()
	}
	text, _ := json.Marshal(t) // numbers: it cannot fail
	return string(text)
}

// DecodeTerms reads what EncodeTerms wrote of the items of this batch. It changes
// nothing if the text is empty or not theirs, as in the task of a worker that kept no terms.
func (b *Batch) DecodeTerms(text string) {
	var t taskTerms
	if text == "" || json.Unmarshal([]byte(text), &t) != nil {
		return
	}
	due := time.UnixMilli(t.Due)
	if t.Due <= 0 || due.After(b.ClaimedAt) {
		return
	}
	b.Due, b.Terms, b.noted = due, termsOf(t.wireTerms, len(b.Items)), millis(t.Noted)
}

func (b *Batch) notedAt() time.Time {
	if b.noted.IsZero() {
		return b.ClaimedAt
	}
	return b.noted
}

// brought is what acquire and restore keep of a batch besides its items.
type brought struct {
	Noted int64 `json:"noted"`
	wireOrigins
	wireTerms
}

func (b *Batch) brought() string {
	text, _ := json.Marshal(brought{b.notedAt().UnixMilli(), wireOrigins{b.Origins.texts, b.Origins.of}, b.Terms.wire()}) // it cannot fail
	return string(text)
}
