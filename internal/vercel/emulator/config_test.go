package emulator

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

func TestNew_Faults(t *testing.T) {
	for name, tt := range map[string]struct {
		config Config
		want   []string
	}{
		"zero":          {Config{}, nil},
		"everything":    {Config{Tokens: []Token{{"a", secret}}, Limit: MeasuredLimit(), JournalCap: -1, Seed: 7}, nil},
		"empty secret":  {Config{Tokens: []Token{{Name: "a"}}}, []string{"tokens[0]: the secret is missing"}},
		"negative body": {Config{MaxBodyBytes: -1}, []string{"max body bytes"}},
		"schema":        {Config{Schema: api.Schema{MaxTags: -1, MaxSrcImages: -1, MaxTagsInString: -1}}, []string{"max tags:", "max source images:", "max tags in string:"}},
		"limit": {
			Config{Limit: Limit{-1, -1, "rolling", "xml"}},
			[]string{"calls: -1 is negative", "per:", `mode: "rolling" is unknown`, `body: "xml" is unknown`},
		},
		"faults": {Config{Faults: Faults{Reset: 2}}, []string{"reset: 2 is no probability"}},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := New(tt.config)
			if tt.want == nil {
				require.NoError(t, err)
				assert.NotNil(t, e)
				return
			}
			require.Error(t, err)
			assert.Nil(t, e)
			for _, part := range tt.want {
				assert.ErrorContains(t, err, part)
			}
		})
	}
}

func TestToken_IsNotShown(t *testing.T) {
	named, unnamed := Token{"ci", secret}, Token{Secret: secret}
	config := Config{Tokens: []Token{named, unnamed}}
	for _, v := range []any{named, unnamed, &named, config, &config} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			text := fmt.Sprintf(verb, v)
			assert.NotContains(t, text, secret, verb)
			assert.NotContains(t, text, fmt.Sprintf("%x", secret), verb)
		}
		b, err := json.Marshal(v)
		require.NoError(t, err)
		assert.NotContains(t, string(b), secret)
	}
	assert.Equal(t, "ci", named.String())
	assert.Equal(t, TokenName(secret), unnamed.String())
}

func TestTokenName(t *testing.T) {
	// printf %s test | sha256sum
	assert.Equal(t, "sha256:9f86d081", TokenName("test"))
}
