package vercel

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestStatusError_NamesTheCausesOfA403(t *testing.T) {
	for _, test := range []struct {
		body string
		want []string
	}{
		{`{"error":{"code":"forbidden","message":"Not authorized","invalidToken":true}}`, []string{"Not authorized", "expired", "role"}},
		{`{"error":{"code":"forbidden","message":"The request is missing an authentication token","missingToken":true}}`, []string{"without a token", "proxy"}},
		{`{"error":{"code":"challenge_required","message":"Recent authentication required"}}`, []string{"recent login", "challenge_required"}},
		{`{"error":{"code":"forbidden","message":"Not authorized"}}`, []string{"Not authorized", "role", "expired", "challenge_required"}},
		{``, []string{"role", "expired", "challenge_required"}},
	} {
		c, _ := serve(t, answerWith(403, test.body))
		_, err := c.Purge(context.Background(), purge())
		for _, part := range test.want {
			assert.ErrorContains(t, err, part)
		}
	}
	assert.EqualError(t, &StatusError{Status: 401, Message: "no"}, "vercel answered 401: no", "of other statuses Vercel's words say enough")
}
