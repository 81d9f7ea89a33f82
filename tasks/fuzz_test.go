package tasks_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// seed adds the golden payloads and a few that are nearly right.
func seed(f *testing.F, pattern string) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "wire", "v1", pattern))
	require.NoError(f, err)
	require.NotEmpty(f, paths)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	for _, payload := range []string{
		``, `null`, `[]`, `{}`, `{"v":2}`, `{"v":1,"v":1}`, `{"V":1}`, `{"v":1}{}`, `{"v":1,"a":{"b":{}}}`,
		`{"v":1,"id":"1","project":"p","operation":"delete","tags":["\ud83c"]}`,
		`{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"not_before":"9999-12-31T23:59:59-01:00"}`,
		`{"v":1,"id":"1","project":"p","operation":"delete","tags":[],"src_images":["a"],"settle_ms":9223372036854775807}`,
		`{"v":1,"batch":"1","account":"a","project":"p","operation":"delete","kind":"tag","items":["a"],"staggered":true,"deadline_seconds":0}`,
	} {
		f.Add([]byte(payload))
	}
}

func FuzzDecodePurge(f *testing.F) {
	seed(f, "purge_*.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := tasks.DecodePurge(data)
		if err != nil {
			require.ErrorIs(t, err, tasks.ErrInvalid)
			require.Zero(t, first)
			return
		}
		require.NotEmpty(t, first.ID)
		require.NoError(t, first.Lane(tasks.Tag).Validate())
		require.NoError(t, first.Lane(tasks.SrcImage).Validate())
		encoded, err := first.Encode()
		require.NoError(t, err)
		second, err := tasks.DecodePurge(encoded)
		require.NoError(t, err, "%s", encoded)
		require.Equal(t, plain(first), plain(second))
	})
}

// plain makes an empty list and a missing one equal: the wire does not tell them apart.
func plain(p tasks.Purge) tasks.Purge {
	if len(p.Tags) == 0 {
		p.Tags = nil
	}
	if len(p.SrcImages) == 0 {
		p.SrcImages = nil
	}
	return p
}

func FuzzDecodeCall(f *testing.F) {
	seed(f, "call_*.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := tasks.DecodeCall(data)
		if err != nil {
			require.ErrorIs(t, err, tasks.ErrInvalid)
			require.Zero(t, first)
			return
		}
		encoded, err := first.Encode()
		require.NoError(t, err)
		second, err := tasks.DecodeCall(encoded)
		require.NoError(t, err, "%s", encoded)
		require.Equal(t, first, second)
	})
}
