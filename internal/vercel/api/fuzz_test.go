package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func FuzzSchema(f *testing.F) {
	for _, s := range []string{`{"tags":["a"]}`, `{"tags":"a,b","target":"preview"}`, `{"srcImages":["/a"],"revalidationDeadlineSeconds":1}`, `[`, `{"tags":[null,{}]}`} {
		f.Add([]byte(s), true, true)
		f.Add([]byte(s), false, false)
	}
	f.Fuzz(func(t *testing.T, body []byte, image, invalidate bool) {
		kind, operation := tasks.Tag, tasks.Delete
		if image {
			kind = tasks.SrcImage
		}
		if invalidate {
			operation = tasks.Invalidate
		}
		p, problem := Schema{}.Parse(Endpoint{kind, operation}, body)
		if problem != "" {
			return
		}
		require.NotEmpty(t, p.Items)
		for _, item := range p.Items {
			require.NotEmpty(t, item)
		}
		if !p.StringForm {
			require.LessOrEqual(t, len(p.Items), tasks.MaxTagsPerCall)
		}
		require.False(t, image && p.Target != "")
		require.False(t, invalidate && p.DeadlineSeconds != tasks.NoDeadline)
		require.True(t, p.DeadlineSeconds >= tasks.NoDeadline && p.DeadlineSeconds <= tasks.MaxDeadlineSeconds)
	})
}
