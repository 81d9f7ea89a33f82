-- restore(the items of a batch): they go back to their lane as if they had not
-- been claimed, and the batch is fenced off, so that no attempt of it runs any more.
-- KEYS lanes, ready x3, pending x3, again x3, spread, hold, inflight, batches, superseded, receipts, carried, origins
-- ARGV pace, project, priority, lane id x3, batch id, only if its lease has ended, due,
--      origins of the batch or "", item...
local lanes, spread, hold = KEYS[1], KEYS[11], KEYS[12]
local ready = { KEYS[2], KEYS[3], KEYS[4] }
local pending = { KEYS[5], KEYS[6], KEYS[7] }
local again = { KEYS[8], KEYS[9], KEYS[10] }
local inflight, batches, superseded, receipts, carried, origins = KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17], KEYS[18]
local pace, project, p = cjson.decode(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local lane_ids = { ARGV[4], ARGV[5], ARGV[6] }
local batch = ARGV[7]
--#include time
--#include pending
--#include receipts
--#include origins

redis.call('ZREM', inflight, '') -- runs on a full Redis, see doc.go
if tonumber(redis.call('ZSCORE', superseded, batch) or 0) > now then return { 0, '0' } end
if ARGV[8] == '1' then
  local lease = redis.call('ZSCORE', inflight, batch)
  if not lease or tonumber(lease) > now then return { 0, '0' } end
end
redis.call('ZREM', inflight, batch)
redis.call('HDEL', batches, batch)
redis.call('ZREMRANGEBYSCORE', superseded, '-inf', ms(now))
redis.call('ZADD', superseded, ms(now + 600000), batch)
local _, twins = add_all(p, ARGV, 11, math.min(now, tonumber(ARGV[9])), 0)
move_all(carried, receipts, ARGV, 11, ALL)
if ARGV[10] ~= '' then
  local o = cjson.decode(ARGV[10])
  local texts = {}
  for i = 11, #ARGV do texts[i] = o.origins[o.origin_of[i - 10]] end
  originate(origins, ARGV, 11, twins, nil, texts, true, 0)
end
local at
for q = 1, p do
  local ready_at = offer(q)
  if ready_at then at = math.min(at or ready_at, ready_at) end
end
if at then redis.call('PUBLISH', 'edgepurge:wake', pace.account) end
return { 1, ms(at or 0) }
