package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/edgepurge/edgepurge/internal/proxies"
)

var (
	decimal = regexp.MustCompile(`^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$`)
	days    = regexp.MustCompile(`^(\d{1,5})d$`)
)

// text reads a string.
func (r *reader) text(into *string) value {
	return func(path string, n ast.Node) {
		switch v := n.(type) {
		case *ast.StringNode:
			*into = v.Value
		case *ast.LiteralNode:
			*into = v.Value.Value
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
			*into = n.GetToken().Value // so that a name still matches where others refer to it
			r.fault(path, "is %s, but a text belongs here: write it in quotes", kind(n))
		default:
			r.wrong(path, n, "a text", "write it in quotes")
		}
	}
}

// texts reads a list of strings.
func (r *reader) texts(into *[]string) value {
	return func(path string, n ast.Node) {
		r.items(path, n, func(path string, n ast.Node) {
			var s string
			if n.Type() != ast.NullType {
				r.text(&s)(path, n)
			}
			*into = append(*into, s)
		})
	}
}

// networks reads a list of addresses and networks.
func (r *reader) networks(into *proxies.Trusted) value {
	return func(path string, n ast.Node) {
		r.items(path, n, func(path string, n ast.Node) {
			var s string
			r.text(&s)(path, n)
			if r.broken[path] {
				return
			}
			network, err := parseNetwork(s)
			if err != nil {
				r.fault(path, "%v", err)
				return
			}
			*into = append(*into, network)
		})
	}
}

// parseNetwork reads an address or a network in CIDR notation.
func parseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is no address or network: write one such as 10.0.0.7 or 10.0.0.0/8", quote(s))
	}
	if network.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s is IPv4 written as IPv6: write it as IPv4, such as 10.0.0.0/8", quote(s))
	}
	if network != network.Masked() {
		return netip.Prefix{}, fmt.Errorf("%s has bits beyond its mask: write %s for the network, or the address alone", quote(s), network.Masked())
	}
	return network, nil
}

// truth reads true or false.
func (r *reader) truth(into *bool) value {
	return func(path string, n ast.Node) {
		if b, ok := n.(*ast.BoolNode); ok {
			*into = b.Value
			return
		}
		r.wrong(path, n, "true or false", "write it without quotes")
	}
}

// address reads host:port; a port alone is refused by what checks the address.
func (r *reader) address(into *string) value {
	return func(path string, n ast.Node) {
		if n.Type() == ast.IntegerType {
			*into = n.GetToken().Value
			return
		}
		r.text(into)(path, n)
	}
}

// count reads a whole number.
func (r *reader) count(into *int) value {
	return func(path string, n ast.Node) {
		s, ok := r.plain(path, n, "a whole number", "such as 5")
		if !ok {
			return
		}
		v, err := strconv.Atoi(s)
		switch {
		case errors.Is(err, strconv.ErrRange):
			r.fault(path, "%s is too large", quote(s))
		case err != nil || len(s) > 1 && s[0] == '0': // YAML readers disagree on 010
			r.fault(path, "%s is not a whole number: write digits, such as 5", quote(s))
		default:
			*into = v
		}
	}
}

// number reads a number that may have a fraction.
func (r *reader) number(into *float64) value {
	return func(path string, n ast.Node) {
		s, ok := r.plain(path, n, "a number", "such as 50 or 0.5")
		if !ok {
			return
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || !decimal.MatchString(s) {
			r.fault(path, "%s is not a number: write digits, such as 50 or 0.5", quote(s))
			return
		}
		*into = v
	}
}

// duration reads a number with a unit, as time.ParseDuration does. A plain 0
// needs none.
func (r *reader) duration(into *time.Duration) value {
	return func(path string, n ast.Node) {
		switch n.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode:
		default:
			r.wrong(path, n, "a duration", "write a number and a unit, such as 10s")
			return
		}
		s := n.GetToken().Value
		d, err := time.ParseDuration(s)
		if err == nil {
			*into = d
			return
		}
		r.fault(path, "%s", durationProblem(s))
	}
}

func durationProblem(s string) string {
	if m := days.FindStringSubmatch(s); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return fmt.Sprintf("%s is in days: write %dh", quote(s), 24*n)
		}
	}
	if decimal.MatchString(s) {
		return fmt.Sprintf("%s has no unit: write %ss, or ms, m, h", quote(s), quoteless(s))
	}
	return fmt.Sprintf("%s is not a duration: write a number and a unit, such as 500ms, 10s, 15m or 24h", quote(s))
}

func quoteless(s string) string {
	q := quote(s)
	return q[1 : len(q)-1]
}

// plain returns the characters of a number. The parser's own reading of it is
// not used: it takes 010 for octal and 1e3 for a text.
func (r *reader) plain(path string, n ast.Node, want, example string) (string, bool) {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
	default:
		r.wrong(path, n, want, example)
		return "", false
	}
	t := n.GetToken()
	if t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
		r.fault(path, "is a text, but %s belongs here: write it without quotes, %s", want, example)
		return "", false
	}
	return t.Value, true
}

// wrong reports a node of the wrong kind, without its value.
func (r *reader) wrong(path string, n ast.Node, want, remedy string) {
	switch n.Type() {
	case ast.NullType:
		r.fault(path, "has no value: give it one, or remove the line for the default")
	case ast.AliasType:
		r.fault(path, `is a YAML alias, which is not read: write the value out, and a text that begins with * in quotes`)
	case ast.AnchorType:
		r.fault(path, "has a YAML anchor, which is not read: remove it, and write a text that begins with & in quotes")
	case ast.TagType:
		r.fault(path, "has a YAML tag, which is not read: remove it, and write a text that begins with ! in quotes")
	default:
		r.fault(path, "is %s, but %s belongs here: %s", kind(n), want, remedy)
	}
}
