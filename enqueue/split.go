package enqueue

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/edgepurge/edgepurge/tasks"
)

// split spreads a valid request over as few parts as it can, in order, so that
// each is encoded in less than limit bytes. A single part keeps the request's
// id; several get ids of their own.
func split(p tasks.Purge, limit int) ([]tasks.Purge, error) {
	bare := p
	bare.Tags, bare.SrcImages = nil, nil
	if p.Track {
		bare.Receipt = p.ID
	}
	envelope, err := bare.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	const lists, suffix = `"tags":[],"src_images":[],`, "-1234567890"
	room := limit - 1 - len(envelope) - len(lists) - len(suffix)

	parts, used := []tasks.Purge{bare}, 0
	for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
		for i, item := range p.Items(kind) {
			size := encodedSize(item) + len(",")
			if size > room {
				return nil, fmt.Errorf("%s %d of %d bytes does not fit into a task of %d bytes", kind, i, len(item), limit)
			}
			if used+size > room {
				parts, used = append(parts, bare), 0
			}
			used += size
			last := &parts[len(parts)-1]
			if kind == tasks.Tag {
				last.Tags = append(last.Tags, item)
			} else {
				last.SrcImages = append(last.SrcImages, item)
			}
		}
	}
	return named(parts)
}

// named makes each part a valid request of its own.
func named(parts []tasks.Purge) ([]tasks.Purge, error) {
	if len(parts) == 1 {
		parts[0].Receipt = "" // it is the request's own id
		return parts, nil
	}
	id := parts[0].ID
	if longest := partID(id, len(parts)); len(longest) > tasks.MaxIDBytes {
		return nil, &tasks.FieldError{Field: "id", Problem: fmt.Sprintf(
			"is %d bytes long; a request in %d tasks may have %d, the limit less %q",
			len(id), len(parts), tasks.MaxIDBytes-len(longest)+len(id), longest[len(id):])}
	}
	for i := range parts {
		parts[i].ID = partID(id, i+1)
		if len(parts[i].Tags) == 0 {
			parts[i].Target = tasks.AllTargets // it was that of the tags; images alone take none
		}
	}
	return parts, nil
}

func partID(id string, n int) string { return id + "-" + strconv.Itoa(n) }

// encodedSize is how many bytes the item takes as a JSON string, or a few more.
func encodedSize(s string) int {
	const escape = len(`\u2028`)
	size := len(`""`)
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			size += 2
		case r < ' ' || r == '\u2028' || r == '\u2029' || r == utf8.RuneError:
			size += escape
		default:
			size += utf8.RuneLen(r)
		}
	}
	return size
}
