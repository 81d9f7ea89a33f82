package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// A full backlog keeps requests out, in the way that was configured and with a
// reason, until there is room.
func TestBacklog_Full(t *testing.T) {
	for _, way := range []WhenFull{FullWait, FullDead} {
		t.Run(string(way), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
				c := testConfig(nowhere)
				c.Accounts[0].Backlog = Backlog{Max: 3, WhenFull: way}
				l := newLab(t, c, rdb)
				ask := func(tags ...string) error {
					return l.intake.ProcessTask(t.Context(), requestTask(t, tasks.Purge{Tags: tags}))
				}
				sweep := &sweep{lanes: l.lanes, metrics: l.intake.metrics, pacers: map[string]*pacer{
					"default": {account: l.accounts["default"]},
				}}
				require.NoError(t, ask("a", "b"))
				require.NoError(t, sweep.backlogs(t.Context()))
				require.NoError(t, ask("c"), "there is room for one more")
				require.NoError(t, sweep.backlogs(t.Context()))
				assert.EqualValues(t, 3, l.accounts["default"].due.Load())

				err := ask("d")
				require.ErrorContains(t, err, "backlog_full: more than 3 items of account \"default\" are pending")
				assert.Equal(t, way == FullDead, errors.Is(err, asynq.SkipRetry))
				assert.ElementsMatch(t, []string{"a", "b", "c"}, l.pending(tagLane("prj")))

				require.NoError(t, rdb.ZRem(t.Context(), "edgepurge:{default}:pending:"+tagLane("prj").ID(), "a").Err())
				require.NoError(t, sweep.backlogs(t.Context()))
				require.NoError(t, ask("d"), "there is room again")
			})
		})
	}
}

// What is scheduled for later is bounded apart: an embargo keeps out neither what is due
// nor another project, and what is due bounds what becomes due.
func TestBacklog_ScheduledIsCountedApart(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := testConfig(nowhere)
		c.Accounts[0].Backlog = Backlog{Max: 3, WhenFull: FullDead}
		l := newLab(t, c, rdb)
		sweep := &sweep{lanes: l.lanes, metrics: l.intake.metrics, pacers: map[string]*pacer{
			"default": {account: l.accounts["default"]},
		}}
		ask := func(p tasks.Purge) error {
			err := l.intake.ProcessTask(t.Context(), requestTask(t, p))
			require.NoError(t, sweep.backlogs(t.Context()))
			return err
		}
		tomorrow := time.Now().Add(24 * time.Hour)
		require.NoError(t, ask(tasks.Purge{Tags: []string{"a", "b", "c"}, NotBefore: tomorrow}))
		for _, p := range []tasks.Purge{
			{Tags: []string{"d"}, NotBefore: tomorrow},
			{Tags: []string{"d"}, Settle: time.Hour},
		} {
			require.ErrorContains(t, ask(p), `backlog_full: more than 3 items of account "default" are scheduled for later`)
		}
		require.NoError(t, ask(tasks.Purge{Tags: []string{"e"}}), "what is due has room")
		require.NoError(t, ask(tasks.Purge{Tags: []string{"f"}, Priority: tasks.Urgent}), "urgent too")
		require.NoError(t, ask(tasks.Purge{Project: "other", Tags: []string{"g"}, Settle: 2 * time.Second}), "soon is not later")
		for _, p := range []tasks.Purge{{Tags: []string{"h"}}, {Tags: []string{"h"}, NotBefore: tomorrow}} {
			require.ErrorContains(t, ask(p), `backlog_full: more than 3 items of account "default" are pending`)
		}
	})
}
