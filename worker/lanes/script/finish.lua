-- finish(a call): its lease ends, the budget learns when it was over, and the
-- success of a probe lifts the holds it probed.
-- KEYS inflight, batches, budget, hold
-- ARGV batch id, attempt, project, succeeded
local inflight, batches, budget, hold = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local batch = ARGV[1]
--#include time
redis.call('ZADD', budget, 'XX', ms(now), batch .. '#' .. ARGV[2])
local record = redis.call('HGET', batches, batch)
if not record then return 0 end
-- No decoding: in the items a quote is escaped, so that none can look like these fields.
if string.match(record, '"attempt":(%d+)') ~= ARGV[2] then return 0 end -- the lease is a later attempt's
redis.call('HDEL', batches, batch)
redis.call('ZREM', inflight, batch)
local lifted = 0
if ARGV[4] == '1' and string.find(record, '"probe":true', 1, true) then
  lifted = redis.call('HDEL', hold, 'account', 'project:' .. ARGV[3])
end
return lifted
