package tasks

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of Vercel's purge API.
const (
	MaxTagsPerCall      = 16       // Vercel's OpenAPI, tags.maxItems
	MaxSrcImagesPerCall = 8        // Vercel's OpenAPI, srcImages.maxItems
	MaxTagBytes         = 256      // Vercel's documentation: 256 UTF-8 bytes a tag
	MaxSrcImageBytes    = 8192     // Vercel's OpenAPI, srcImages.items.maxLength
	MaxTagStringBytes   = 8196     // Vercel's OpenAPI, maxLength of the comma-separated form
	MaxDeadlineSeconds  = 31536000 // Vercel's OpenAPI, revalidationDeadlineSeconds.maximum: a year
)

// AllTags is the tag that purges a whole project. A request must ask for it by
// name with AllowAll.
const AllTags = "*"

// Kind says what an item is. Items of different kinds never share a call.
type Kind string

// The two kinds of item.
const (
	Tag      Kind = "tag"
	SrcImage Kind = "src-image"
)

// ErrInvalid marks every fault of a request or a call that no retry can mend.
var ErrInvalid = errors.New("invalid")

// FieldError is one fault of a request: the field in JSON terms, what is wrong
// with it and, where it helps, what would be right. It matches ErrInvalid.
type FieldError struct {
	Field   string // such as "tags[3]"
	Problem string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Is makes errors.Is(err, ErrInvalid) true.
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }

func fault(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// CheckItem returns nil if one call of the given kind may carry the item, else
// what is wrong with it, without naming a field. Items are kept verbatim and
// case-sensitive, so whatever Vercel would read differently from what was
// written (an outer space, a comma, a control character) is refused. AllTags
// passes: whether it is wanted is for the request to say.
func CheckItem(kind Kind, item string) error {
	limit := MaxTagBytes
	if kind == SrcImage {
		limit = MaxSrcImageBytes
	}
	switch {
	case kind != Tag && kind != SrcImage:
		return fmt.Errorf("kind %q is unknown: use %q or %q", kind, Tag, SrcImage)
	case item == "":
		return errors.New("is empty")
	case len(item) > limit:
		return fmt.Errorf("is %d bytes long, the limit is %d: %s", len(item), limit, abbreviate(item))
	case !utf8.ValidString(item):
		return fmt.Errorf("is not valid UTF-8: %q", abbreviate(item))
	case strings.ContainsFunc(item, unicode.IsControl):
		return fmt.Errorf("holds a control character: %q", abbreviate(item))
	case strings.TrimFunc(item, isSpace) != item:
		return fmt.Errorf("begins or ends with white space: %q", abbreviate(item))
	case kind == Tag && strings.Contains(item, ","):
		return fmt.Errorf("holds a comma, which Vercel reads as a separator: %q", abbreviate(item))
	}
	return nil
}

// isSpace reports what JavaScript's trim takes away, which is what Vercel's side
// does to a tag: "\ufeff*" would be "*" there.
func isSpace(c rune) bool { return unicode.IsSpace(c) || c == '\ufeff' }

// abbreviate keeps an error message short when the item in it is not.
func abbreviate(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
