package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// CheckText returns nil if what a JSON text says is what encoding/json will
// read, else an error that matches ErrInvalid. Invalid UTF-8 and escapes of half
// a character would be replaced silently, and so a different tag be purged. Of
// what is not JSON it need not say so.
func CheckText(data []byte) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: payload is not valid UTF-8", ErrInvalid)
	}
	if i := loneSurrogate(data); i >= 0 {
		return fmt.Errorf("%w: the escape %s at byte %d is half a character", ErrInvalid, data[i:i+6], i)
	}
	return nil
}

// Object returns the members of the one JSON object that data must be, read as
// strictly as a payload: CheckText holds, no name stands twice and nothing
// behind it. The error matches ErrInvalid.
func Object(data []byte) (map[string]json.RawMessage, error) {
	if err := CheckText(data); err != nil {
		return nil, err
	}
	return members(data)
}

// members returns the members of the one JSON object that data must be. A name
// that stands twice is refused: encoding/json would keep the last of two tag
// lists, and the first would be lost without a trace.
func members(data []byte) (map[string]json.RawMessage, error) {
	notObject := func(err error) error {
		switch {
		case len(bytes.TrimSpace(data)) == 0:
			err = errors.New("it is empty")
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			err = errors.New("it breaks off before its end")
		}
		return fmt.Errorf("%w: payload is not a JSON object of edgepurge: %w", ErrInvalid, err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	open, err := d.Token()
	if err != nil {
		return nil, notObject(err)
	}
	if open != json.Delim('{') {
		return nil, notObject(fmt.Errorf("it begins with %s", abbreviate(fmt.Sprint(open))))
	}
	fields := make(map[string]json.RawMessage)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, notObject(err)
		}
		name, _ := key.(string) // the decoder lets nothing else stand here
		if _, twice := fields[name]; twice {
			return nil, fault(abbreviate(name), "stands twice in the payload")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, notObject(err)
		}
		fields[name] = value
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, notObject(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: data after the JSON object", ErrInvalid)
	}
	return fields, nil
}

// loneSurrogate returns where the first \uD800 to \uDFFF stands that is not
// half of a pair, or -1. JSON.stringify writes such an escape for a string cut
// in the middle of a character; encoding/json would replace it and so purge a
// different tag. The data must be valid JSON.
func loneSurrogate(data []byte) int {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		r := escaped(data[i:])
		switch {
		case r < 0: // a short escape, such as \n
			i++
		case !utf16.IsSurrogate(r):
			i += 5
		case utf16.DecodeRune(r, escaped(data[i+6:])) == unicode.ReplacementChar:
			return i
		default:
			i += 11
		}
	}
	return -1
}

// escaped returns the code of the \uXXXX that data begins with, or -1.
func escaped(data []byte) rune {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
