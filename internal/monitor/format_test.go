package monitor

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestFormat_Request(t *testing.T) {
	t.Parallel()
	p := tasks.Purge{
		ID: "01A", Project: "prj", Operation: tasks.Delete, Tags: []string{"a", "<b>&"}, SrcImages: []string{"/x.png"}, Target: tasks.Production,
		Priority: tasks.Urgent, Settle: 2 * time.Second, Rebound: time.Minute, NotBefore: noon, Source: "sanity/blog", RequestedAt: noon,
	}
	payload, err := p.Encode()
	require.NoError(t, err)
	assert.JSONEq(t, `{"summary":"urgent: delete 2 tags and 1 source image of prj in production","project":"prj","tags":["a","<b>&"],"src_images":["/x.png"],`+
		`"source":"sanity/blog","settle":"2s","rebound":"1m0s","not_before":"2026-11-22T12:00:00Z","requested_at":"2026-11-22T12:00:00Z","id":"01A"}`,
		formatPayload(tasks.TypeRequest, payload))
}

func TestFormat_Call(t *testing.T) {
	t.Parallel()
	c := tasks.Call{
		Batch: "01B", Account: "acme", Items: []string{"a", "b"}, DeadlineSeconds: tasks.NoDeadline, Attempt: 1, ClaimedAt: noon, Lane: lane("prj"),
		Verdict: &tasks.Verdict{Reason: "unauthorized", Status: 401, Code: "forbidden", Message: "no", RequestID: "fra1::x"},
	}
	payload, err := c.Encode()
	require.NoError(t, err)
	assert.JSONEq(t, `{"summary":"delete 2 tags of prj","answer":"unauthorized: Vercel answered 401 forbidden: no (x-vercel-id fra1::x)","account":"acme","project":"prj",`+
		`"tags":["a","b"],"lane":"prj:tag:delete:all:none:normal","claimed_at":"2026-11-22T12:00:00Z","calls_made":1,"id":"01B"}`,
		formatPayload(tasks.TypeCall, payload))
	c.Lane.Kind, c.Items = tasks.SrcImage, []string{"/a.png"}
	payload, err = c.Encode()
	require.NoError(t, err)
	text := formatPayload(tasks.TypeCall, payload)
	assert.Contains(t, text, `"summary":"delete 1 source image of prj"`)
	assert.Contains(t, text, `"src_images":["/a.png"]`)
	assert.NotContains(t, text, `"tags"`)
}

func TestFormat_IsBounded(t *testing.T) {
	t.Parallel()
	p := tasks.Purge{ID: "01A", Project: "prj", Operation: tasks.Delete, Source: "x", RequestedAt: noon}
	for i := range 2000 {
		p.Tags = append(p.Tags, strings.Repeat("ö", 120)+fmt.Sprint(i))
	}
	for range 60 {
		p.SrcImages = append(p.SrcImages, "/"+strings.Repeat("x", 5000))
	}
	payload, err := p.Encode()
	require.NoError(t, err)
	text := formatPayload(tasks.TypeRequest, payload)
	assert.Less(t, len(text), 40_000)
	var s shown
	require.NoError(t, json.Unmarshal([]byte(text), &s))
	require.Len(t, s.Tags, shownItems+1)
	assert.Equal(t, "… and 1,950 more", s.Tags[shownItems])
	assert.Equal(t, "delete 2,000 tags and 60 source images of prj", s.Summary)
	assert.True(t, utf8.ValidString(text))
}

// What is not ours, or of another version, is shown as it is.
func TestFormat_Unknown(t *testing.T) {
	t.Parallel()
	for _, typename := range []string{tasks.TypeRequest, tasks.TypeCall, "email:send"} {
		assert.Equal(t, `{"v":99}`, formatPayload(typename, []byte(`{"v":99}`)))
		assert.Equal(t, "3 bytes that are no text", formatPayload(typename, []byte{0xff, 0, 1}))
		assert.Empty(t, formatPayload(typename, nil))
		assert.LessOrEqual(t, len(formatPayload(typename, []byte(strings.Repeat("日", 5000)))), shownRawBytes+len("…"))
	}
}
