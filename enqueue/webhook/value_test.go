package webhook

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What readValue reads is what encoding/json would; what it leaves to that is rare.
func TestReadValue(t *testing.T) {
	t.Parallel()
	for body, reads := range map[string]bool{
		`{"a":[1,-0.5e+10,0,"x\n\u00e4",true,false,null,{"b":{}},[]]}`: true,
		" \t\r\n{ \"a\" : 1 , \"a\" : 2 } \n":                          true, // the last one counts
		"\ufeff[]":                                                     true,
		`"\ud83d"`:                                                     true,
		`788032119674292922`:                                           true,
		`{"\u0061":1,"a":{}}`:                                          true,
		`[[[[[]]]]]`:                                                   true,
		`[[[[[[]]]]]]`:                                                 false,
		`[[[[[{"a":1}]]]]]`:                                            false,
		`{"a":[[[[[]]]]]}`:                                             false,
		"[\"\xff\"]":                                                   false,
		"\"a\nb\"":                                                     false,
		`01`:                                                           false,
		`1.`:                                                           false,
		`.5`:                                                           false,
		`+1`:                                                           false,
		`1e`:                                                           false,
		`-`:                                                            false,
		`"\x"`:                                                         false,
		`"\`:                                                           false,
		`"`:                                                            false,
		`[1,]`:                                                         false,
		`[,1]`:                                                         false,
		`[1 2]`:                                                        false,
		`{"a":1,}`:                                                     false,
		`{"a"}`:                                                        false,
		`{a:1}`:                                                        false,
		`{} {}`:                                                        false,
		`nul`:                                                          false,
		`{"a":1`:                                                       false,
		``:                                                             false,
		"[\"\ufeff\"] \ufeff":                                          false,
		`[` + "\u00a0" + `]`:                                           false,
		strings.Repeat(`[`, 1000):                                      false,
	} {
		_, ok := readValue([]byte(body), 5)
		assert.Equal(t, reads, ok, body)
		compareValue(t, []byte(body), 5)
	}
}

func compareValue(t *testing.T, body []byte, depth int) {
	t.Helper()
	got, ok := readValue(body, depth)
	if !ok {
		return
	}
	want, err := decodeJSON(body)
	if assert.NoError(t, err, "%q", body) {
		assert.Equal(t, want, got, "%q", body)
		assert.NoError(t, checkDepth(body, depth), "%q", body)
	}
}

func FuzzReadValue(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.Body), DefaultDepth)
	}
	for _, body := range []string{
		` { "b" : [ { "a" : "]}" } , -1.5e3 , true ] , "a" : "\u00e4\"" } `, `{"\ud800":"1","a":null,"a":0}`, "\ufeff[1E-2,[[]]]", `"\/\b\f"`,
	} {
		f.Add([]byte(body), 2)
	}
	f.Fuzz(compareValue)
}
