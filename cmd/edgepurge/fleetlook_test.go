package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A process sees that Redis is back long before the alert for one that is away, which
// waits two minutes: an outage of a minute pages no one.
func TestLookAfter(t *testing.T) {
	t.Parallel()
	assert.Equal(t, fleetLook, lookAfter(0))
	assert.Equal(t, 2*fleetLook, lookAfter(1))
	for failures := range 1000 {
		assert.GreaterOrEqual(t, lookAfter(failures), fleetLook)
		assert.LessOrEqual(t, lookAfter(failures), 30*time.Second, failures)
	}
}
