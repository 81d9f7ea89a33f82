package emulator

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestShow(t *testing.T) {
	b := start(t, Config{Limit: Limit{Calls: 1}})
	get := func(path string) map[string]any {
		r := b.send(t, "GET", path, "")
		require.Equal(t, 200, r.StatusCode, r.text)
		assert.Equal(t, "application/json; charset=utf-8", r.Header.Get("Content-Type"))
		var body map[string]any
		require.NoError(t, json.Unmarshal([]byte(r.text), &body))
		return body
	}
	user, ok := get("/v2/user")["user"].(map[string]any)
	require.True(t, ok)
	assert.Contains(t, user["id"], "usr_")
	assert.NotEmpty(t, user["username"])
	assert.NotEmpty(t, user["email"])
	for _, path := range []string{"/teams/", "/v2/teams/"} {
		assert.Equal(t, "team_Abc", get(path + "team_Abc")["id"])
		team := get(path + "acme")
		assert.Equal(t, "acme", team["slug"])
		assert.Contains(t, team["id"], "team_")
	}
	project := get("/v9/projects/shop")
	assert.Equal(t, "shop", project["name"])
	assert.Contains(t, project["id"], "prj_")
	assert.Equal(t, user["id"], project["accountId"])
	assert.Equal(t, "team_1", get("/v9/projects/prj_Abc?teamId=team_1")["accountId"])
	assert.Equal(t, "prj_Abc", get("/v9/projects/prj_Abc")["id"])
	assert.Equal(t, get("/v9/projects/shop"), project, "the same every time")

	for _, c := range b.Journal() {
		assert.Equal(t, 200, c.Status)
		assert.Empty(t, c.Kind)
		assert.False(t, c.Counted, "questions cost no purge")
		assert.False(t, c.Applied)
	}
}

func TestShow_NeedsAToken(t *testing.T) {
	b := start(t, Config{Tokens: []Token{{"ci", "another"}}})
	for _, path := range []string{"/v2/user", "/teams/t", "/v9/projects/p"} {
		assert.Equal(t, 403, b.send(t, "GET", path, "").StatusCode)
		assert.Equal(t, 403, b.send(t, "GET", path, "", "Authorization", "").StatusCode)
	}
}
