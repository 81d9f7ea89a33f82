package overview

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/edgepurge/edgepurge/worker/lanes"
)

func TestBudget_TaughtSaysByWhom(t *testing.T) {
	for want, s := range map[string]lanes.Status{
		"; limited to 3, inferred from 429s": {Learned: 3, Inferred: true},
		"; Vercel said 3":                    {Learned: 3},
		"":                                   {Learned: 12, Inferred: true}, // more than is configured
	} {
		b := BudgetOf(Settings{Calls: 10}, &s)
		assert.Equal(t, want, b.Taught())
	}
}
