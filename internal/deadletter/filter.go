package deadletter

import (
	"slices"
	"time"
)

// Filter selects letters. A list that is empty and a time that is zero select
// all; of a list one entry must match.
type Filter struct {
	IDs      []string
	Reasons  []string
	Projects []string
	Accounts []string
	// Before and After bound when the letter died; one that never failed is
	// selected by neither.
	Before, After time.Time
}

// Empty reports whether the filter selects every letter.
func (f Filter) Empty() bool {
	return len(f.IDs)+len(f.Reasons)+len(f.Projects)+len(f.Accounts) == 0 && f.Before.IsZero() && f.After.IsZero()
}

// Match reports whether the filter selects the letter.
func (f Filter) Match(l *Summary) bool {
	among := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	switch {
	case !among(f.IDs, l.ID), !among(f.Reasons, l.Reason), !among(f.Projects, l.Project), !among(f.Accounts, l.Account):
		return false
	case !f.Before.IsZero() && (l.Died.IsZero() || !l.Died.Before(f.Before)):
		return false
	case !f.After.IsZero() && !l.Died.After(f.After): // the zero time is after nothing
		return false
	}
	return true
}
