package worker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

func accountsOf(t *testing.T, c Config) map[string]*account {
	t.Helper()
	require.NoError(t, c.Validate())
	accounts, err := newAccounts(c)
	require.NoError(t, err)
	return accounts
}

// twoAccounts has a project of its own for each, and the rest belongs to the second.
func twoAccounts() Config {
	c := valid()
	first, second := DefaultAccount(), DefaultAccount()
	first.Name, first.Token = "first", testToken
	second.Name, second.Token = "second", testToken
	second.Batch = Batch{Form: FormString, MaxTags: 3, MaxSrcImages: 5}
	c.Accounts = []Account{first, second}
	c.Projects = []Project{
		{Project: "one", Account: "first", Linger: 3 * time.Second, Spread: Spread{
			Rate: 5, Burst: 7, MaxDelay: time.Hour, Deadline: Stagger{Min: time.Minute, Over: time.Hour},
			Weights: []Weight{{"layout:*", 500}, {"home", 0}, {"*", 2}},
		}},
		{Project: "two", Account: "second"},
		{Project: AnyProject, Account: "second", Linger: time.Minute},
	}
	return c
}

func TestAccountOf(t *testing.T) {
	accounts := accountsOf(t, twoAccounts())
	for project, want := range map[string]string{"one": "first", "two": "second", "other": "second"} {
		assert.Equal(t, want, accountOf(accounts, project).Name, project)
	}
	c := twoAccounts()
	c.Projects = c.Projects[:2]
	assert.Nil(t, accountOf(accountsOf(t, c), "other"))
}

func TestNewAccounts_TheOnlyAccountCoversEverything(t *testing.T) {
	c := valid()
	c.Accounts[0].Name, c.Projects = "acme", nil
	accounts := accountsOf(t, c)
	assert.Equal(t, "acme", accountOf(accounts, "any").Name)
	assert.Equal(t, AnyProject, accounts["acme"].project("any").Project)
	assert.Equal(t, time.Second, accounts["acme"].pace(tagLane("any")).Linger)
}

func TestPace_OfEachKindAndForm(t *testing.T) {
	accounts := accountsOf(t, twoAccounts())
	image := tagLane("one")
	image.Kind = tasks.SrcImage
	first := lanes.Pace{
		Account: "first", Calls: 5, Per: time.Minute, Reserve: 1, InFlight: 4, Lease: 15 * time.Second,
		MaxItems: 16, Full: 16, Linger: 3 * time.Second, Rate: 5, Burst: 7, MaxDelay: time.Hour,
		Weights:    []lanes.Weight{{Match: "layout:", Prefix: true, Cost: 500}, {Match: "home", Cost: 0}, {Match: "", Prefix: true, Cost: 2}},
		StaggerMin: time.Minute, StaggerOver: time.Hour,
	}
	assert.Equal(t, first, accounts["first"].pace(tagLane("one")))
	first.MaxItems, first.Full = 8, 8
	assert.Equal(t, first, accounts["first"].pace(image))

	second := lanes.Pace{
		Account: "second", Calls: 5, Per: time.Minute, Reserve: 1, InFlight: 4, Lease: 15 * time.Second,
		// MaxTags is the array form's: here the length counts.
		MaxItems: tasks.MaxTagStringBytes, MaxBytes: tasks.MaxTagStringBytes, Full: 409,
	}
	assert.Equal(t, second, accounts["second"].pace(tagLane("two")))
	image.Project = "two"
	second.MaxItems, second.MaxBytes, second.Full = 5, 0, 5
	assert.Equal(t, second, accounts["second"].pace(image))

	assert.Equal(t, time.Minute, accounts["second"].pace(tagLane("other")).Linger)
}

func TestPace_ProjectMovedToAnotherAccount(t *testing.T) {
	// "two" is the second account's, yet its items waited in the first one's lane.
	got := accountsOf(t, twoAccounts())["first"].pace(tagLane("two"))
	assert.Equal(t, "first", got.Account)
	assert.Equal(t, DefaultProject().Linger, got.Linger)
	assert.Equal(t, DefaultProject().Spread.MaxDelay, got.MaxDelay)
	assert.Zero(t, got.Rate)
}

func TestPace_BurstDefaultsToTheRate(t *testing.T) {
	for _, c := range []struct{ rate, burst, want float64 }{{5, 0, 5}, {0.5, 0, 1}, {5, 2, 2}, {0, 0, 0}} {
		config := valid()
		config.Projects[0].Spread.Rate, config.Projects[0].Spread.Burst = c.rate, c.burst
		assert.InDelta(t, c.want, accountsOf(t, config)["default"].pace(tagLane("p")).Burst, 1e-9, "%+v", c)
	}
}

func TestPace_LeaseOutlivesTheCall(t *testing.T) {
	c := valid()
	c.Timeout = time.Minute
	assert.Equal(t, 65*time.Second, accountsOf(t, c)["default"].pace(tagLane("p")).Lease)
}
