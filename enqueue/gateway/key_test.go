package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
)

func TestNew_AllFaultsOfTheKeysAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Keys: []Key{
		{"shop", "s3cret-one", []string{"*"}},
		{"shop", "s3cret-two", []string{"*"}},
		{"a b", "s3cret-three", []string{"*"}},
		{strings.Repeat("a", 101), "s3cret-four", []string{"*"}},
		{"", "s3cret-five", []string{"*"}},
		{Anonymous, "s3cret-six", []string{"*"}},
		{"copy", "s3cret-one", []string{"*"}},
		{"empty", " ", []string{"*"}},
		{"idle", "s3cret-seven", nil},
	}})
	require.Error(t, err)
	for _, part := range []string{
		"Config.Enqueue, Config.Status and Config.Redis are required", `Keys[1]: the name "shop" stands twice`, `Keys[2]: the name "a b"`, "Keys[3]: the name", `Keys[4]: the name ""`,
		`Keys[5]: the name "anonymous"`, "Keys[6]: another key has the same secret", "Keys[7]: the secret is missing", "Keys[8]: no project is named",
	} {
		assert.ErrorContains(t, err, part)
	}
	assert.NotContains(t, err.Error(), "s3cret")
	assert.Len(t, strings.Split(err.Error(), "\n"), 9)
}

func TestKeyring_FindsEachByItsWholeSecret(t *testing.T) {
	t.Parallel()
	var all []Key
	for i := range 20 {
		all = append(all, Key{fmt.Sprint("key-", i), webhook.Secret(fmt.Sprint("secret-", i)), []string{"*"}})
	}
	ring, err := newKeyring(all)
	require.NoError(t, err)
	for i := range all {
		found := ring.find(fmt.Sprint("secret-", i))
		require.NotNil(t, found)
		assert.Equal(t, all[i].Name, found.name)
	}
	for _, other := range []string{"", "secret-", "secret-20", "Secret-1", "secret-1 ", "key-1"} {
		assert.Nil(t, ring.find(other), other)
	}
	assert.Nil(t, keyring{}.find(""))
}

// A Handler holds hashes, whatever way it is printed; a Key hides its secret.
func TestKey_IsNotShown(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, text := range []string{fmt.Sprintf(verb, d.Config), fmt.Sprintf(verb, d.keys), fmt.Sprintf(verb, keys)} {
			assert.NotContains(t, text, shopSecret)
			assert.NotContains(t, text, fmt.Sprintf("%x", shopSecret))
		}
	}
}
