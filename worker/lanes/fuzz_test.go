package lanes

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What lies in Redis under a batch id is ours, but a Redis may be shared.
func FuzzDecodeBatch(f *testing.F) {
	for _, text := range []string{
		"", "{}", "null", `{"lane":"prj:tag:delete:all:none:normal"}`,
		`{"lane":"` + normal.ID() + `","items":["a","b"],"deadline":-1,"claimed":1.7953056e+12,"due":1795305600000,"probe":true,"adapting":true}`,
		`{"lane":"` + urgent.ID() + `","items":null,"claimed":1e300,"due":-1e300}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := decodeBatch("id", text)
		if err != nil {
			require.ErrorContains(t, err, "id", "it says which batch")
			return
		}
		require.Equal(t, "id", b.ID)
		require.NotEmpty(t, b.Lane.ID())
	})
}
