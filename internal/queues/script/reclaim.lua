-- reclaim(a task that no worker has in hand): it is the next to run. asynq's own requeue,
-- for a worker that is not there any more to do it.
-- KEYS active, lease, pending, task
-- ARGV task id, its lease as it was seen, 0 if it had none
local lease = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0)
if lease ~= tonumber(ARGV[2]) then return 0 end
if redis.call('LREM', KEYS[1], 0, ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[4]) == 0 then return 0 end
redis.call('RPUSH', KEYS[3], ARGV[1])
redis.call('HSET', KEYS[4], 'state', 'pending')
return 1
