package webhook

import "github.com/itchyny/gojq"

// maxParts bounds into how many parts an expression is cut: each repeats what
// stands before the commas.
const maxParts = 32

// parts cuts an expression at its commas, those of "a, b", of "x | a, b" and of
// "(a, b)". Together the parts yield what the whole does, and a fault in one
// does not keep the others from yielding.
func parts(q *gojq.Query) []*gojq.Query {
	switch {
	case q.Op == gojq.OpComma:
		left, right := parts(q.Left), parts(q.Right)
		list := make([]*gojq.Query, 0, len(left)+len(right))
		for _, part := range append(left, right...) {
			list = append(list, within(q, part))
		}
		return list
	case q.Op == gojq.OpPipe:
		left, right := parts(q.Left), parts(q.Right)
		if len(left)*len(right) == 1 || len(left)*len(right) > maxParts {
			return []*gojq.Query{q}
		}
		var list []*gojq.Query
		for _, from := range left {
			for _, to := range right {
				piped := *q
				piped.Left, piped.Right = from, to
				list = append(list, &piped)
			}
		}
		return list
	case q.Term != nil && q.Term.Type == gojq.TermTypeQuery && len(q.Term.SuffixList) == 0:
		list := parts(q.Term.Query)
		for i, part := range list {
			list[i] = within(q, part)
		}
		return list
	}
	return []*gojq.Query{q}
}

// within returns part with the functions that outer defines.
func within(outer, part *gojq.Query) *gojq.Query {
	if len(outer.FuncDefs) == 0 {
		return part
	}
	return &gojq.Query{FuncDefs: outer.FuncDefs, Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: part}}
}
