package loglines

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRepeatedKey(t *testing.T) {
	for line, want := range map[string]string{
		`{"message":"Down","message":"call"}`:       "message",
		`{"a":1,"b":{"a":2},"c":[{"a":1},{"a":2}]}`: "",
		`{"a":{"x":1,"x":2},"b":1}`:                 "", // a value is the sender's
		`{"level":"info","a":"b","b":"a","a":null}`: "a",
		`{}`:              "",
		`plain text`:      "",
		`{"cut":"off`:     "",
		`["a","a"]`:       "",
		`{"a":1} {"a":2}`: "",
	} {
		assert.Equal(t, want, RepeatedKey([]byte(line)), line)
	}
}
