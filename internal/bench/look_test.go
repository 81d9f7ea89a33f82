package bench

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// queued is how many requests are not taken in yet.
func (r *rig) queued() int {
	info, err := asynq.NewInspectorFromRedisClient(r.rdb).GetQueueInfo(tasks.QueueIntake)
	require.NoError(r.tb, err)
	return info.Pending + info.Active + info.Retry + info.Scheduled
}

// pending is how many items wait in lanes or are in calls under way.
func (r *rig) pending() int {
	s, err := lanes.New(r.rdb).Status(context.Background(), worker.DefaultAccount().Name, time.Minute)
	require.NoError(r.tb, err)
	n := 0
	for _, l := range s.Lanes {
		n += int(l.Pending)
	}
	for _, b := range s.InFlight {
		n += len(b.Items)
	}
	return n
}

// cpu is how many seconds of processor time this process and Redis have used.
func (r *rig) cpu() float64 {
	used, err := processorTime()
	require.NoError(r.tb, err)
	return used.Seconds() + r.info("cpu", "used_cpu_user") + r.info("cpu", "used_cpu_sys")
}

// info reads one number of Redis's INFO.
func (r *rig) info(section, field string) float64 {
	text, err := r.rdb.Info(context.Background(), section).Result()
	require.NoError(r.tb, err)
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			n, err := strconv.ParseFloat(value, 64)
			require.NoError(r.tb, err)
			return n
		}
	}
	r.tb.Fatalf("INFO %s has no field %s", section, field)
	return 0
}
