package vercel

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestParseEnvelope(t *testing.T) {
	full := bodyLimit{total: "6", remaining: "0", reset: "1571432075", resetMs: "1571432075563"}
	for body, want := range map[string]envelope{
		`{"error":{"code":"c","message":"m"}}`:           {found: true, code: "c", message: "m"},
		`{"err":{"code":"c","message":"m"}}`:             {found: true, code: "c", message: "m"},
		`{"error":null,"err":{"code":"c"}}`:              {found: true, code: "c"},
		`{"error":{"code":"c","invalidToken":true}}`:     {found: true, code: "c", invalidToken: true},
		`{"error":{"code":"c","missingToken":true}}`:     {found: true, code: "c", missingToken: true},
		`{"error":{"code":404,"message":["m"]}}`:         {found: true, code: "404"},
		`{"error":{"message":"m","invalidToken":"yes"}}`: {found: true, message: "m"},
		`{"error":{}}`:                  {found: true},
		`{"error":"plain","code":"c"}`:  {found: true, message: "plain", code: "c"},
		`{"code":"c","message":"bare"}`: {found: true, message: "bare", code: "c"},
		`{"error":{"limit":{"remaining":0,"reset":1571432075,"resetMs":1571432075563,"total":6}}}`:         {found: true, limit: full},
		`{"error":{"limit":{"remaining":"0","reset":"1571432075","resetMs":"1571432075563","total":"6"}}}`: {found: true, limit: full},
		`{"error":{"limit":{"remaining":null,"reset":true,"total":{}}}}`:                                   {found: true},
		`{"error":{"code":"c","limit":7}}`:                                                                 {found: true, code: "c"},
		`{"error":{"code":"\ud800"}}`:                                                                      {found: true, code: "\uFFFD"},
		`{}`:                                                                                               {},
		`{"error":[]}`:                                                                                     {},
		`[]`:                                                                                               {},
		`"error"`:                                                                                          {},
		`null`:                                                                                             {},
		``:                                                                                                 {},
		`<html>`:                                                                                           {},
		`{"error":{"code":"c"}} trailing`:                                                                  {},
	} {
		t.Run(body, func(t *testing.T) { assert.Equal(t, want, parseEnvelope([]byte(body))) })
	}
}

func FuzzParseEnvelope(f *testing.F) {
	for _, s := range []string{`{"error":{"code":"c","limit":{"reset":1}}}`, `{"err":"x"}`, `{"error":{"error":{}}}`, `[1]`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e := parseEnvelope(body)
		assert.True(t, utf8.ValidString(e.message))
		if !e.found {
			assert.Equal(t, envelope{}, e)
		}
	})
}
