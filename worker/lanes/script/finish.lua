-- finish(a call): its lease ends, the budget learns when it was over, and a probe
-- that was let in lifts the holds it probed.
-- KEYS inflight, batches, budget, hold, ended
-- ARGV batch id, attempt, project, whether the API let the call in
local inflight, batches, budget, hold, ended = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local batch = ARGV[1]
--#include time
redis.call('ZREM', inflight, '') -- runs on a full Redis, see doc.go
local call = batch .. '#' .. ARGV[2]
if ARGV[4] == '1' then redis.call('ZADD', budget, 'XX', ms(now), call)
elseif redis.call('ZREM', budget, call) == 1 then
  -- It counts as before, and teaches `pause` no limit.
  local n = 1
  while redis.call('ZSCORE', budget, call .. '!' .. n) do n = n + 1 end
  redis.call('ZADD', budget, ms(now), call .. '!' .. n)
end
local record = redis.call('HGET', batches, batch)
if not record then return 0 end
-- No decoding: in the items a quote is escaped, so that none can look like these fields.
if string.match(record, '"attempt":(%d+)') ~= ARGV[2] then return 0 end -- the lease is a later attempt's
redis.call('HDEL', batches, batch)
redis.call('ZREM', inflight, batch)
if ARGV[4] ~= '1' or redis.call('EXISTS', hold) == 0 then return 0 end
local lifted, at = 0, ms(now)
if string.find(record, '"probe":true', 1, true) then
  for _, scope in ipairs({ 'account', 'project:' .. ARGV[3] }) do
    local text = redis.call('HGET', hold, scope)
    -- What is being adopted is held by a person's command, which no call proves wrong.
    if text and cjson.decode(text).reason ~= 'adopting' then lifted = lifted + redis.call('HDEL', hold, scope) end
  end
end
if lifted > 0 then redis.call('HSET', ended, 'account', at, 'project:' .. ARGV[3], at) end
redis.call('HSET', ended, 'success', at)
redis.call('PEXPIRE', ended, 86400000)
return lifted
