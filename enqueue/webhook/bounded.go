package webhook

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"

	"github.com/itchyny/gojq"
)

// maxBuilt bounds what one step of an expression may build, in bytes, roughly. A
// step cannot be interrupted: mapping_time ends an expression between steps, and
// "x" * .count is one that a payload decides the size of.
const maxBuilt = 4 << 20

// maxCompared bounds how many pairs of values one step may compare, roughly: some
// hundred milliseconds. All elements of two lists make as many as their product.
const maxCompared = 16 << 20

// The functions that stand before such a step.
const (
	boundSum        = "_edgepurge_sum"        // [l, r], if l + r may be built
	boundProduct    = "_edgepurge_product"    // [l, r], if l * r may be built
	boundDifference = "_edgepurge_difference" // [l, r], if l - r compares few enough
	boundSearch     = "_edgepurge_search"     // its input, if each of the argument may be looked for in it, or the reverse
	boundSize       = "_edgepurge_size"       // its input, if it may be written out
)

// comparesInput are functions of one argument that compare all in it with all in
// their input.
var comparesInput = map[string]bool{"contains": true, "inside": true, "indices": true, "index": true, "rindex": true}

// buildsFromInput are functions that write out all of their input, or go through
// all of it, in one step.
var buildsFromInput = map[string]bool{
	"add": true, "join": true, "tojson": true, "tostring": true, "implode": true, "explode": true, "flatten": true, "ascii_downcase": true,
	"ascii_upcase": true, "sort": true, "sort_by": true, "unique": true, "unique_by": true, "group_by": true, "min": true, "max": true,
	"min_by": true, "max_by": true, "contains": true, "inside": true, "indices": true, "index": true, "rindex": true, "split": true,
	"splits": true, "sub": true, "gsub": true, "test": true, "match": true, "capture": true, "scan": true, "transpose": true,
	"to_entries": true, "with_entries": true, "from_entries": true, "fromjson": true, "reverse": true, "utf8bytelength": true,
	"trim": true, "ltrim": true, "rtrim": true, "combinations": true,
}

// boundFunctions are options that make the functions known.
func boundFunctions() []gojq.CompilerOption {
	return []gojq.CompilerOption{
		gojq.WithFunction(boundSum, 2, 2, func(_ any, args []any) any {
			if size(args[0], maxBuilt)+size(args[1], maxBuilt) > maxBuilt {
				return errBuilds("a sum")
			}
			return args
		}),
		gojq.WithFunction(boundProduct, 2, 2, func(_ any, args []any) any {
			if product(args[0], args[1]) > maxBuilt {
				return errBuilds("a product")
			}
			return args
		}),
		gojq.WithFunction(boundDifference, 2, 2, func(_ any, args []any) any {
			if pairs(args[0], args[1]) > maxCompared {
				return errCompares("a difference")
			}
			return args
		}),
		gojq.WithFunction(boundSearch, 1, 1, func(v any, args []any) any {
			list, _ := args[0].([]any)
			for _, x := range list {
				if pairs(v, x) > maxCompared {
					return errCompares("a search")
				}
			}
			return v
		}),
		gojq.WithFunction(boundSize, 0, 0, func(v any, _ []any) any {
			if size(v, maxBuilt) > maxBuilt {
				return errBuilds("a value")
			}
			return v
		}),
	}
}

func errBuilds(what string) error {
	return fmt.Errorf("builds %s of more than %d bytes", what, maxBuilt)
}

func errCompares(what string) error {
	return fmt.Errorf("makes %s that compares more than %d pairs of values", what, maxCompared)
}

// pairs is about how many pairs of values a comparison of all in l with all in r
// looks at; more than maxCompared may be any number beyond it.
func pairs(l, r any) int { return values(l, maxCompared) * values(r, maxCompared) }

// values is how many values there are in one, itself included, or more than most.
func values(v any, most int) int {
	n := 1
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			if n += values(element, most-n); n > most {
				break
			}
		}
	case map[string]any:
		for _, member := range v {
			if n += values(member, most-n); n > most {
				break
			}
		}
	}
	return n
}

// size is about how many bytes a value has when it is written out, or more than
// most. A value may hold another many times over, and each counts.
func size(v any, most int) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case json.Number:
		return len(v)
	case *big.Int:
		return v.BitLen()/3 + 1
	case []any:
		n := 0
		for _, element := range v {
			if n += 2 + size(element, most-n); n > most {
				break
			}
		}
		return n
	case map[string]any:
		n := 0
		for key, member := range v {
			if n += 4 + len(key) + size(member, most-n); n > most {
				break
			}
		}
		return n
	}
	return 8
}

// product is about how many bytes l * r has.
func product(l, r any) int {
	if text, ok := l.(string); ok {
		return repeated(text, r)
	}
	if text, ok := r.(string); ok {
		return repeated(text, l)
	}
	return size(l, maxBuilt) + size(r, maxBuilt)
}

func repeated(text string, by any) int {
	count := 0.0
	switch by := by.(type) {
	case int:
		count = float64(by)
	case float64:
		count = by
	case json.Number:
		count, _ = by.Float64()
	case *big.Int:
		count, _ = new(big.Float).SetInt(by).Float64()
	default:
		return 0 // it is no number: jq says so
	}
	return int(max(0, min(math.Ceil(count)*float64(len(text)), maxBuilt+1)))
}

// bounded rewrites an expression so that no step builds more than maxBuilt:
//
//	l * r   becomes  _product(l; r) | .[0] * .[1]
//	p *= r  becomes  r as $x | p |= (_product(.; $x) | .[0] * .[1])
//	tojson  becomes  _size | tojson
//	index(x) becomes _size | _search([x?]) | index(x)
//
// and + and - as *. Each Query is visited once, those it holds before it.
func bounded(q *gojq.Query) {
	if q == nil {
		return
	}
	for _, f := range q.FuncDefs {
		bounded(f.Body)
	}
	bounded(q.Left)
	bounded(q.Right)
	for _, p := range q.Patterns {
		boundPattern(p)
	}
	boundTerm(q.Term)
	switch q.Op {
	case gojq.OpMul:
		boundOperator(q, gojq.OpMul, boundProduct)
	case gojq.OpAdd:
		boundOperator(q, gojq.OpAdd, boundSum)
	case gojq.OpSub:
		boundOperator(q, gojq.OpSub, boundDifference)
	case gojq.OpUpdateSub:
		boundUpdate(q, gojq.OpSub, boundDifference)
	case gojq.OpUpdateMul:
		boundUpdate(q, gojq.OpMul, boundProduct)
	case gojq.OpUpdateAdd:
		boundUpdate(q, gojq.OpAdd, boundSum)
	default:
	}
}

func boundOperator(q *gojq.Query, op gojq.Operator, guard string) {
	q.Left = call(guard, q.Left, q.Right)
	q.Right = &gojq.Query{Op: op, Left: element("0"), Right: element("1")}
	q.Op = gojq.OpPipe
}

func boundUpdate(q *gojq.Query, op gojq.Operator, guard string) {
	const name = "$_edgepurge"
	step := &gojq.Query{Op: op, Left: &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}}, Right: call(name)}
	boundOperator(step, op, guard)
	path, value := q.Left, q.Right
	q.Op, q.Left, q.Patterns = gojq.OpPipe, value, []*gojq.Pattern{{Name: name}}
	q.Right = &gojq.Query{Op: gojq.OpModify, Left: path, Right: step}
}

func call(name string, args ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}}
}

func element(number string) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIndex, Index: &gojq.Index{
		Start: &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeNumber, Number: number}},
	}}}
}

// allOf is a list of what an argument yields. Its errors are left to the function
// whose argument it is.
func allOf(arg *gojq.Query) *gojq.Query {
	try := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeTry, Try: &gojq.Try{Body: arg}}}
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeArray, Array: &gojq.Array{Query: try}}}
}

// sized puts the bound before a term that builds from its input.
func sized(t *gojq.Term) {
	inner := *t
	inner.SuffixList = nil
	step := &gojq.Query{Term: &inner}
	if f := t.Func; f != nil && comparesInput[f.Name] && len(f.Args) == 1 {
		step = &gojq.Query{Op: gojq.OpPipe, Left: call(boundSearch, allOf(f.Args[0])), Right: step}
	}
	t.Query = &gojq.Query{Op: gojq.OpPipe, Left: call(boundSize), Right: step}
	t.Type, t.Func, t.Format, t.Str = gojq.TermTypeQuery, nil, "", nil
}

func boundTerm(t *gojq.Term) {
	if t == nil {
		return
	}
	bounded(t.Query)
	boundIndex(t.Index)
	boundString(t.Str)
	if t.Object != nil {
		for _, kv := range t.Object.KeyVals {
			boundString(kv.KeyString)
			bounded(kv.KeyQuery)
			bounded(kv.Val)
		}
	}
	if t.Array != nil {
		bounded(t.Array.Query)
	}
	if t.Unary != nil {
		boundTerm(t.Unary.Term)
	}
	boundControl(t)
	for _, s := range t.SuffixList {
		boundIndex(s.Index)
	}
	switch {
	case t.Func != nil:
		for _, arg := range t.Func.Args {
			bounded(arg)
		}
		if buildsFromInput[t.Func.Name] {
			sized(t)
		}
	case t.Type == gojq.TermTypeFormat && t.Str == nil:
		sized(t)
	}
}

// boundControl goes into what holds other queries to choose among.
func boundControl(t *gojq.Term) {
	if c := t.If; c != nil {
		bounded(c.Cond)
		bounded(c.Then)
		for _, e := range c.Elif {
			bounded(e.Cond)
			bounded(e.Then)
		}
		bounded(c.Else)
	}
	if c := t.Try; c != nil {
		bounded(c.Body)
		bounded(c.Catch)
	}
	if c := t.Reduce; c != nil {
		bounded(c.Query)
		bounded(c.Start)
		bounded(c.Update)
		for _, p := range c.Patterns {
			boundPattern(p)
		}
	}
	if c := t.Foreach; c != nil {
		bounded(c.Query)
		bounded(c.Start)
		bounded(c.Update)
		bounded(c.Extract)
		for _, p := range c.Patterns {
			boundPattern(p)
		}
	}
	if t.Label != nil {
		bounded(t.Label.Body)
	}
}

func boundIndex(i *gojq.Index) {
	if i != nil {
		boundString(i.Str)
		bounded(i.Start)
		bounded(i.End)
	}
}

// boundString bounds what is put into a text, "\(x)": it is written out.
func boundString(s *gojq.String) {
	if s == nil {
		return
	}
	for _, q := range s.Queries {
		bounded(q)
		if q.Term == nil || q.Term.Str == nil {
			inner := *q
			piped := &gojq.Query{Op: gojq.OpPipe, Left: &inner, Right: call(boundSize)}
			*q = gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: piped}}
		}
	}
}

func boundPattern(p *gojq.Pattern) {
	for _, element := range p.Array {
		boundPattern(element)
	}
	for _, member := range p.Object {
		boundString(member.KeyString)
		bounded(member.KeyQuery)
		if member.Val != nil {
			boundPattern(member.Val)
		}
	}
}
