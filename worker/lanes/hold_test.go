package lanes

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (r *rig) hold(scope string, probe bool) bool {
	r.t.Helper()
	held, err := r.Hold(r.ctx(), r.pace.Account, scope, "forbidden", "HTTP 403: no", Batch{ID: r.id("batch-"), Probe: probe}, 1)
	require.NoError(r.t, err)
	return held.Created
}

func (r *rig) holds() []Hold {
	r.t.Helper()
	all, err := r.Holds(r.ctx(), r.pace.Account)
	require.NoError(r.t, err)
	return all
}

func TestHold_KeepsEverythingPending(t *testing.T) {
	for _, c := range []struct {
		name, scope string
		refusal     Refusal
		others      bool // whether another project goes on
	}{
		{"account", ScopeAccount, RefusedHeld, false},
		{"project", ScopeProject("prj"), RefusedProjectHeld, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(r *rig) {
				assert.True(r.t, r.hold(c.scope, false))
				assert.False(r.t, r.hold(c.scope, false), "a call that was under way makes no second hold")
				assert.Equal(r.t, Absorbed{Added: 1}, r.absorb(normal, "a"))
				assert.Equal(r.t, Absorbed{Duplicate: 1}, r.absorb(normal, "a"))
				r.absorb(urgent, "u")
				r.absorb(inProject("other"), "b")
				for _, lane := range []Claim{r.tryClaim(normal), r.tryClaim(urgent)} {
					assert.Equal(r.t, c.refusal, lane.Refused)
					assert.InDelta(r.t, time.Minute, lane.Wait, float64(10*time.Second))
				}
				assert.Equal(r.t, c.others, r.tryClaim(inProject("other")).Batch != nil)
				got := r.acquire(Batch{ID: "b", Lane: normal, Items: []string{"x"}}, 2, true)
				assert.Equal(r.t, RefusedHeld, got.Refused)
				assert.InDelta(r.t, time.Minute, got.Wait, float64(10*time.Second))

				s := r.status()
				require.Len(r.t, s.Holds, 1)
				h := s.Holds[0]
				assert.Equal(r.t, c.scope, h.Scope)
				assert.Equal(r.t, "forbidden", h.Reason)
				assert.Equal(r.t, "HTTP 403: no", h.Detail)
				assert.Equal(r.t, time.Minute, h.Step)
				assert.Equal(r.t, time.Minute, h.Next.Sub(h.Since))
			})
		})
	}
}

// A hold is found by who does not know its account, and its next probe is when to
// look at the account, though nothing of it is pending.
func TestHold_IsNotedAsDue(t *testing.T) {
	each(t, func(r *rig) {
		require.True(r.t, r.hold(ScopeProject("prj"), false))
		accounts, err := r.Accounts(r.ctx())
		require.NoError(r.t, err)
		assert.Equal(r.t, []string{"acme"}, accounts)
		due, err := r.Due(r.ctx())
		require.NoError(r.t, err)
		assert.Empty(r.t, due)
		at, err := r.rdb.ZScore(r.ctx(), KeyDue, "acme").Result()
		require.NoError(r.t, err)
		assert.InDelta(r.t, float64(r.holds()[0].Next.UnixMilli()), at, 1)
		assert.True(r.t, r.peek().Held)
		assert.False(r.t, r.peek().Idle())
		_, err = r.Release(r.ctx(), "acme", ScopeProject("prj"))
		require.NoError(r.t, err)
		assert.False(r.t, r.peek().Held)
		assert.True(r.t, r.peek().Idle())
	})
}

// Probes come after 1, 2, 4, 8 and then every 15 minutes.
func TestHold_FailedProbesDoubleTheWait(t *testing.T) {
	for _, scope := range []string{ScopeAccount, ScopeProject("prj")} {
		t.Run(scope, func(t *testing.T) {
			r := simulated(t)
			r.absorb(normal, numbered(200)...)
			require.True(t, r.hold(scope, false))
			for _, minutes := range []int{1, 2, 4, 8, 15, 15} {
				step := time.Duration(minutes) * time.Minute
				r.pass(step - time.Millisecond)
				assert.Equal(t, time.Millisecond, r.tryClaim(normal).Wait)
				r.pass(time.Millisecond)
				b := r.claim(normal)
				assert.True(t, b.Probe)
				assert.Nil(t, r.tryClaim(normal).Batch, "one call probes")
				assert.False(t, r.hold(scope, b.Probe))
				require.True(t, r.restore(b, false))
				assert.False(t, r.finish(b, false))
			}
			assert.Equal(t, epoch, r.holds()[0].Since.Round(0))
		})
	}
}

func TestHold_OneProbeForAllWorkers(t *testing.T) {
	r := simulated(t)
	r.pace.Lease = 3 * time.Minute // longer than the step: the probe may take that long
	r.absorb(normal, "a")
	r.absorb(inProject("other"), "a")
	r.hold(ScopeAccount, false)
	r.pass(time.Minute)
	assert.True(t, r.claim(normal).Probe)
	assert.Equal(t, 3*time.Minute, r.refused(inProject("other"), RefusedHeld))
	assert.Equal(t, 3*time.Minute, r.acquire(Batch{ID: "b", Lane: normal, Items: []string{"x"}}, 2, false).Wait)
}

func TestHold_AttemptsProbeToo(t *testing.T) {
	r := simulated(t)
	r.hold(ScopeAccount, false)
	r.hold(ScopeProject("prj"), false)
	r.pass(time.Minute)
	b := Batch{ID: "b", Lane: normal, Items: []string{"x"}}
	got := r.acquire(b, 2, false)
	require.NotNil(t, got.Batch)
	assert.True(t, got.Batch.Probe)
	b.ID = "other"
	assert.Equal(t, RefusedHeld, r.acquire(b, 2, false).Refused)
	lifted, err := r.Finish(r.ctx(), "acme", *got.Batch, 2, true)
	require.NoError(t, err)
	assert.True(t, lifted)
	assert.Empty(t, r.holds())
	assert.NotNil(t, r.acquire(b, 2, false).Batch)
}

// A probe that cannot go now (nothing has lingered) leaves the probe to others.
func TestHold_RefusedClaimTakesNoProbe(t *testing.T) {
	r := simulated(t)
	r.pace.Linger = time.Hour
	r.absorb(normal, "a")
	r.hold(ScopeAccount, false)
	r.pass(time.Minute)
	r.refused(normal, RefusedLinger)
	r.absorb(urgent, "u")
	assert.True(t, r.claim(urgent).Probe)
}

func TestHold_SuccessLiftsAndOffersTheLanes(t *testing.T) {
	r := simulated(t)
	r.hold(ScopeProject("prj"), false)
	r.absorb(bulk, "late")
	r.refused(bulk, RefusedProjectHeld)
	r.pass(time.Minute)
	r.absorb(urgent, "u")
	probe := r.claim(urgent)
	require.True(t, probe.Probe)
	r.refused(bulk, RefusedProjectHeld)
	assert.Empty(t, r.peek().Ready)
	assert.True(t, r.finish(probe, true))
	assert.Empty(t, r.holds())
	require.Len(t, r.peek().Ready, 1)
	assert.Equal(t, []string{"late"}, r.claim(bulk).Items)
}

// Only a probe proves anything: other calls may have been under way before.
func TestHold_OtherSuccessLiftsNothing(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(normal, "a")
		b := r.claim(normal)
		r.hold(ScopeAccount, false)
		assert.False(r.t, r.finish(b, true))
		assert.Len(r.t, r.holds(), 1)
	})
}

func TestRelease(t *testing.T) {
	for _, scope := range []string{ScopeAccount, ScopeProject("prj")} {
		t.Run(scope, func(t *testing.T) {
			each(t, func(r *rig) {
				r.hold(scope, false)
				r.absorb(normal, "a")
				r.absorb(inProject("other"), "b")
				r.tryClaim(normal)
				wakes := r.Wakes(r.ctx())
				defer wakes.Close()
				_, err := wakes.Receive(r.ctx())
				require.NoError(r.t, err)

				there, err := r.Release(r.ctx(), "acme", scope)
				require.NoError(r.t, err)
				assert.True(r.t, there)
				message, err := wakes.ReceiveMessage(r.ctx())
				require.NoError(r.t, err)
				assert.Equal(r.t, "acme", message.Payload)
				assert.Len(r.t, r.peek().Ready, 2)
				r.claim(normal)

				there, err = r.Release(r.ctx(), "acme", scope)
				require.NoError(r.t, err)
				assert.False(r.t, there)
			})
		})
	}
}

func TestStatus(t *testing.T) {
	r := simulated(t)
	r.pace.Calls = 5
	r.absorb(normal, numbered(20)...)
	r.ask(Absorption{Lane: normal, Items: []string{"post-0019"}, Settle: time.Minute})
	r.absorb(bulk, "b")
	r.pass(time.Second)
	b := r.claim(normal)
	s := r.status()
	assert.Equal(t, epoch.Add(time.Second), s.Now)
	assert.Equal(t, []LaneStatus{
		{Lane: bulk, Pending: 1, Oldest: epoch, ReadyAt: epoch},
		{Lane: normal, Pending: 4, Again: 1, Oldest: epoch, ReadyAt: epoch.Add(time.Second)},
	}, s.Lanes)
	assert.Equal(t, []Batch{b}, s.InFlight)
	assert.Equal(t, int64(1), s.Used)
	assert.True(t, s.PausedUntil.IsZero())
	assert.Zero(t, s.Learned)
	assert.Empty(t, s.Holds)
}

// A late claim of an emptied lane must not make it ready without an entry: what
// comes back to it later would be seen by nobody until the next probe.
func TestHold_EmptiedLaneStaysVisible(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, "last")
	b := r.claim(normal)
	_, err := r.Hold(r.ctx(), r.pace.Account, ScopeProject(normal.Project), "project_missing", "HTTP 404", b, 1)
	require.NoError(t, err)
	r.refused(normal, RefusedEmpty)
	restored, err := r.Restore(r.ctx(), r.pace, b, false)
	require.NoError(t, err)
	require.True(t, restored)
	s, err := r.Status(r.ctx(), r.pace.Account, r.pace.Per)
	require.NoError(t, err)
	require.Len(t, s.Lanes, 1)
}

// refuse is what a worker does with a 403 that says nothing of the token.
func (r *rig) refuse(b Batch) Held {
	r.t.Helper()
	held, err := r.Hold(r.ctx(), r.pace.Account, ScopeProject(b.Lane.Project), ReasonForbidden, "HTTP 403", b, 1)
	require.NoError(r.t, err)
	return held
}

func (r *rig) scopes() []string {
	r.t.Helper()
	var all []string
	for _, h := range r.holds() {
		all = append(all, h.Scope)
	}
	slices.Sort(all)
	return all
}

// Two calls are under way when the token expires. The second answer comes when the
// operator has released what the first one held: it must not hold it again.
func TestHold_ALateFailureDoesNotHoldAgain(t *testing.T) {
	for _, scope := range []string{ScopeAccount, ScopeProject("prj")} {
		each(t, func(r *rig) {
			hold := func(b Batch) bool {
				held, err := r.Hold(r.ctx(), r.pace.Account, scope, "unauthorized", "HTTP 401", b, 1)
				require.NoError(r.t, err)
				return held.Created
			}
			r.absorb(normal, numbered(48)...)
			first, second := r.claim(normal), r.claim(normal)
			require.True(r.t, hold(first))
			released, err := r.Release(r.ctx(), "acme", scope)
			require.NoError(r.t, err)
			require.True(r.t, released)
			assert.False(r.t, hold(second), scope)
			assert.Empty(r.t, r.holds(), scope)

			r.pass(2 * time.Millisecond)
			assert.True(r.t, hold(r.claim(normal)), "a call that began after it holds")
		})
	}
}

// As above, but a probe lifted the hold.
func TestHold_ALateFailureAfterAProbe(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, numbered(48)...)
	first, late := r.claim(normal), r.claim(normal)
	_, err := r.Hold(r.ctx(), "acme", ScopeAccount, "unauthorized", "HTTP 401", first, 1)
	require.NoError(t, err)
	r.pass(time.Minute)
	assert.True(t, r.finish(r.claim(normal), true))
	assert.False(t, r.refuse(late).Created, "of its project neither: the whole account was tried")
	assert.Empty(t, r.holds())
}

func TestHold_OneForbiddenProjectIsHeldAlone(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(normal, numbered(32)...)
		r.absorb(inProject("good"), "a", "b")
		assert.Equal(r.t, Held{true, ScopeProject("prj")}, r.refuse(r.claim(normal)))
		r.refused(normal, RefusedProjectHeld)
		r.claim(inProject("good"))
	})
}

func TestHold_TwoForbiddenProjectsAreTheAccounts(t *testing.T) {
	each(t, func(r *rig) {
		for _, project := range []string{"a", "b", "c"} {
			r.absorb(inProject(project), numbered(32)...)
		}
		a, b, c := r.claim(inProject("a")), r.claim(inProject("b")), r.claim(inProject("c"))
		assert.Equal(r.t, Held{true, ScopeProject("a")}, r.refuse(a))
		for range 2 { // the first reply was lost
			assert.Equal(r.t, Held{true, ScopeAccount}, r.refuse(b))
		}
		assert.Equal(r.t, Held{false, ScopeAccount}, r.refuse(c), "it was under way")
		assert.Equal(r.t, []string{ScopeAccount, ScopeProject("a"), ScopeProject("b")}, r.scopes())
		r.refused(inProject("c"), RefusedHeld)
		for _, h := range r.holds() {
			if h.Scope == ScopeAccount {
				assert.Equal(r.t, "HTTP 403 (project a was refused too)", h.Detail)
				assert.Equal(r.t, "b", h.Project)
			}
		}
	})
}

// Two foreign projects beside one that is well do not stop it.
func TestHold_ASuccessInBetweenClearsTheAccount(t *testing.T) {
	r := simulated(t)
	for _, project := range []string{"a", "b", "good"} {
		r.absorb(inProject(project), numbered(32)...)
	}
	r.refuse(r.claim(inProject("a")))
	r.pass(time.Second)
	r.finish(r.claim(inProject("good")), true)
	assert.Equal(t, Held{true, ScopeProject("b")}, r.refuse(r.claim(inProject("b"))))
	assert.Equal(t, []string{ScopeProject("a"), ScopeProject("b")}, r.scopes())
}

// A probe of a fresh project extends the hold of the account, without a letter; one of
// a project that is held itself extends that hold only, so that others need not wait.
func TestHold_WhatAForbiddenProbeExtends(t *testing.T) {
	r := simulated(t)
	for _, project := range []string{"a", "b", "c"} {
		r.absorb(inProject(project), numbered(48)...)
	}
	r.refuse(r.claim(inProject("a")))
	r.refuse(r.claim(inProject("b")))
	steps := func() map[string]time.Duration {
		all := map[string]time.Duration{}
		for _, h := range r.holds() {
			all[h.Scope] = h.Step
		}
		return all
	}
	r.pass(time.Minute)
	probe := r.claim(inProject("a"))
	require.True(t, probe.Probe)
	assert.Equal(t, Held{false, ScopeProject("a")}, r.refuse(probe))
	assert.Equal(t, map[string]time.Duration{ScopeAccount: time.Minute, ScopeProject("a"): 2 * time.Minute, ScopeProject("b"): time.Minute}, steps())
	r.pass(time.Minute)
	probe = r.claim(inProject("c"))
	require.True(t, probe.Probe)
	assert.Equal(t, Held{false, ScopeAccount}, r.refuse(probe))
	assert.Equal(t, map[string]time.Duration{ScopeAccount: 2 * time.Minute, ScopeProject("a"): 2 * time.Minute, ScopeProject("b"): time.Minute}, steps())
	assert.Equal(t, "c", r.peek().Failed)
}

func TestHold_AnAttemptOfTheFailedProjectGivesWay(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, "a")
	_, err := r.Hold(r.ctx(), "acme", ScopeAccount, "unauthorized", "HTTP 401", r.claim(normal), 1)
	require.NoError(t, err)
	assert.Equal(t, "prj", r.peek().Failed)
	r.pass(time.Minute)
	again := r.acquire(Batch{ID: "again", Lane: normal, Items: []string{"x"}}, 2, false)
	assert.Equal(t, RefusedHeld, again.Refused)
	assert.Equal(t, 2*time.Second, again.Wait)
	other := r.acquire(Batch{ID: "other", Lane: inProject("other"), Items: []string{"x"}}, 2, false)
	require.NotNil(t, other.Batch)
	assert.True(t, other.Batch.Probe)
	r.pass(time.Minute + 2*time.Second)
	assert.NotNil(t, r.acquire(Batch{ID: "again", Lane: normal, Items: []string{"x"}}, 2, false).Batch, "nobody else came")
}

// A probe that was under way when a move of its account began does not end the move's
// hold: workers would claim again what is being moved.
func TestHold_AProbeDoesNotEndAnAdoption(t *testing.T) {
	r := simulated(t)
	r.hold(ScopeAccount, false)
	r.absorb(urgent, "a")
	r.pass(2 * time.Minute)
	probe := r.claim(urgent)
	require.True(t, probe.Probe)
	require.NoError(t, r.Park(r.ctx(), r.pace.Account, ScopeAccount, "moving"))
	assert.False(t, r.finish(probe, true))
	require.Len(t, r.holds(), 1)
	assert.Equal(t, ReasonAdopting, r.holds()[0].Reason)
}
