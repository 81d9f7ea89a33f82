package plan

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCollapsed_String(t *testing.T) {
	c := Collapsed{Rule: "product:* (over 200)", Tags: 2000, To: "products"}
	assert.Equal(t, "2,000 tags match product:* (over 200): replaced by products, which purges at least their pages, all in one call.", c.String())
	c.Weight = 1e6
	assert.Equal(t, "2,000 tags match product:* (over 200): replaced by products, which purges at least their pages, all in one call. "+
		`Give it their weight in spread.weights: {match: "products", cost: 1000000}.`, c.String())
}

// What took the place of others is one call with all of their pages, and the plan says so
// in JSON and on its page.
func TestMake_Collapsed(t *testing.T) {
	in := example()
	whole, err := Make(in)
	require.NoError(t, err)
	tags := len(in.Items)
	in.Items, in.Asked = []Item{{Bytes: 8, Cost: float64(tags)}}, tags
	in.Collapsed = []Collapsed{{Rule: "<product:*> (over 200)", Tags: tags, To: "products"}}
	p, err := Make(in)
	require.NoError(t, err)
	assert.Equal(t, whole.Tags, p.Tags, "as many as were asked for")
	assert.InDelta(t, whole.Pages, p.Pages, 0)
	assert.Equal(t, 1, p.Way(AtOnce).Calls)
	assert.Greater(t, p.Way(AtOnce).Peak, whole.Way(AtOnce).Peak)

	text, err := json.Marshal(p)
	require.NoError(t, err)
	assert.Contains(t, string(text), `(over 200)","tags":2000,"to":"products"}]`)
	page, err := Page(p, "")
	require.NoError(t, err)
	assert.Contains(t, string(page), "<p>2,000 tags match &lt;product:*&gt; (over 200): replaced by products")

	text, err = json.Marshal(whole)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "collapsed")
}
