-- offer(a lane that is not where it should be): into its line, as this pace asks for, and
-- the project's turn no later than that. Nothing is put off: workers of two paces, as in
-- a rolling restart, would do so in turns.
-- KEYS lanes, ready, pending, turn, order, ahead, served, spread, hold
-- ARGV pace, project, priority, lane id
local lanes, order, ahead, served, spread, hold = KEYS[1], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local pace, project, p = cjson.decode(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local ready, pending, again, turn, lane_ids = {}, {}, {}, {}, {}
ready[p], pending[p], turn[p], lane_ids[p] = KEYS[2], KEYS[3], KEYS[4], ARGV[4]
--#include time
--#include pending
redis.call('ZREM', ready[p], '') -- runs on a full Redis, see doc.go
local at = offer(p, true)
if at then redis.call('PUBLISH', 'edgepurge:wake', pace.account) end
return ms(at or 0)
