package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// program is a compiled jq expression. Its input is the body, $h the headers.
// It has no access to the environment, to files or to other inputs.
type program struct {
	field string
	code  *gojq.Code
	// parts yield together what code does; nil if it has one only.
	parts []*gojq.Code
}

// compileProgram returns nil for an empty or faulty expression.
func compileProgram(field, text string, f *faults) *program {
	if text == "" {
		return nil
	}
	if strings.TrimSpace(text) == "" {
		f.add(field, "holds no expression")
		return nil
	}
	query, err := gojq.Parse(text)
	if err != nil {
		at := ""
		if syntax, ok := errors.AsType[*gojq.ParseError](err); ok {
			at = position(text, syntax.Offset-len(syntax.Token))
		}
		f.add(field, "is not jq: %s%v", at, err)
		return nil
	}
	bounded(query)
	code, err := compileQuery(query)
	if err != nil {
		f.add(field, "is not jq: %s%v", mention(text, err), err)
		return nil
	}
	p := &program{field: field, code: code}
	if list := parts(query); len(list) > 1 && len(list) <= maxParts {
		for _, part := range list {
			if code, err = compileQuery(part); err != nil {
				p.parts = nil // cannot happen: the whole could be compiled
				break
			}
			p.parts = append(p.parts, code)
		}
	}
	return p
}

func compileQuery(query *gojq.Query) (*gojq.Code, error) {
	options := append(boundFunctions(), gojq.WithVariables([]string{"$h"}), gojq.WithIterFunction("tag", 1, 2, tagFunction))
	return gojq.Compile(query, options...)
}

// position writes where a byte of the expression stands.
func position(text string, offset int) string {
	before := text[:max(0, min(offset, len(text)))]
	line := strings.Count(before, "\n") + 1
	column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
	return fmt.Sprintf("line %d, column %d: ", line, column)
}

// mention writes where the name stands that a compiler's error ends with
// ("function not defined: foo/0"): the compiler does not say.
func mention(text string, err error) string {
	_, name, ok := strings.Cut(err.Error(), ": ")
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(name, "/")
	if i := strings.Index(text, name); i >= 0 && name != "" {
		return position(text, i)
	}
	return ""
}

// errEnough ends a program that has yielded what was asked for.
var errEnough = errors.New("enough")

// expressionError is what an expression itself says of its input; what ends it
// from outside, such as a limit, is another error.
type expressionError struct {
	field string
	err   error
}

func (e *expressionError) Error() string { return e.field + ": " + e.err.Error() }
func (e *expressionError) Unwrap() error { return e.err }

func isExpressionError(err error) bool {
	_, ok := errors.AsType[*expressionError](err)
	return ok
}

// run calls each with every value that the program yields for the input, for as
// long as ctx lasts.
func (p *program) run(ctx context.Context, in input, each func(any) error) error {
	return p.runCode(ctx, p.code, in, each)
}

// runParts does so too. A fault in one part of the program does not keep the
// others from yielding: begin is called, and they run one by one.
func (p *program) runParts(ctx context.Context, in input, begin func(), each func(any) error) error {
	begin()
	err := p.runCode(ctx, p.code, in, each)
	if p.parts == nil || !isExpressionError(err) {
		return err
	}
	begin()
	var faults []error
	told := map[string]bool{}
	for _, code := range p.parts {
		err := p.runCode(ctx, code, in, each)
		if err != nil && !told[err.Error()] {
			told[err.Error()] = true
			faults = append(faults, err)
		}
		if err != nil && !isExpressionError(err) {
			break
		}
	}
	return errors.Join(faults...)
}

func (p *program) runCode(ctx context.Context, code *gojq.Code, in input, each func(any) error) (err error) {
	defer func() {
		if v := recover(); v != nil { // a fault of the interpreter must not take the process along
			err = fmt.Errorf("%s: the expression broke its interpreter", p.field)
		}
	}()
	iter := code.RunWithContext(ctx, in.body, in.headers)
	for {
		v, ok := iter.Next()
		if !ok {
			return nil
		}
		if err, ok := v.(error); ok {
			if errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("%s: took longer than mapping_time allows", p.field)
			}
			return &expressionError{p.field, err}
		}
		if err := each(v); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", p.field, err)
		}
	}
}

// first returns the first value that the program yields.
func (p *program) first(ctx context.Context, in input) (value any, err error) {
	found := false
	err = p.run(ctx, in, func(v any) error {
		value, found = v, true
		return errEnough
	})
	if err == nil && !found {
		err = fmt.Errorf("%s: yields nothing", p.field)
	}
	return value, err
}

// tagFunction is the jq function tag(value) and tag(prefix; value): the value as
// text, after "prefix:" if one is given. Null and "" yield nothing, arrays all
// of their elements; numbers keep their digits, objects are refused.
func tagFunction(_ any, args []any) gojq.Iter {
	prefix, value := "", args[len(args)-1]
	if len(args) == 2 {
		text, ok := args[0].(string)
		if !ok || text == "" {
			return gojq.NewIter[any](errors.New("the prefix of tag() is not a text, or empty"))
		}
		prefix = text + ":"
	}
	var tags []any
	if err := appendTags(&tags, prefix, value); err != nil {
		return gojq.NewIter[any](err)
	}
	return gojq.NewIter(tags...)
}

func appendTags(tags *[]any, prefix string, value any) error {
	text := ""
	switch v := value.(type) {
	case nil:
	case []any:
		for _, element := range v {
			if err := appendTags(tags, prefix, element); err != nil {
				return err
			}
		}
		return nil
	case string:
		text = v
	case bool:
		text = strconv.FormatBool(v)
	case json.Number:
		text = v.String()
	case int:
		text = strconv.Itoa(v)
	case *big.Int:
		text = v.String()
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) || math.Abs(v) >= 1e21 {
			return errors.New("tag() was given a number that has no digits to write")
		}
		text = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return errors.New("tag() was given an object: name one of its members")
	}
	if text != "" {
		*tags = append(*tags, prefix+text)
	}
	return nil
}
