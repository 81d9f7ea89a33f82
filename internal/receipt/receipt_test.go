package receipt

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The names are a contract between producers and workers of different versions.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{Key("01JD"), "edgepurge:receipt:01JD"},
		{CountsKey("acme", "01JD"), "edgepurge:{acme}:receipt:01JD"},
		{Project, "project"},
		{Total, "total"},
		{Requested, "requested"},
		{Changed, "changed"},
		{Purged, "purged"},
		{Dead, "dead"},
		{AccountField("acme"), "account:acme"},
		{DeadField("01JD-2"), "dead:01JD-2"},
	} {
		assert.Equal(t, c.want, c.got)
	}
	assert.Equal(t, 24*time.Hour, Kept)
}

func TestFields(t *testing.T) {
	t.Parallel()
	fields := map[string]string{
		Project: "p", Total: "3", AccountField("acme"): "1", AccountField("b"): "1", DeadField("01JD"): "2", Changed: "1",
	}
	assert.ElementsMatch(t, []string{"acme", "b"}, Accounts(fields))
	assert.Empty(t, Accounts(map[string]string{Project: "account:x", Dead: "1"}))
	assert.True(t, IsDeadField(DeadField("01JD")))
	assert.False(t, IsDeadField(Dead))
}
