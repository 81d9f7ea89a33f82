-- adapt(the account to how the API answers): three failures in a row halve what it
-- may do, down to one call; successes give it back step by step; after an outage
-- or a hold it starts at one.
-- KEYS state
-- ARGV event, what the account may do by its configuration, the window in ms,
--      the limit that a success told or 0
local state, event, full, per, told = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
--#include time
redis.call('HDEL', state, '') -- runs on a full Redis, see doc.go
local slow = tonumber(redis.call('HGET', state, 'slow') or 0)

local function slow_to(n)
  if n >= full then redis.call('HDEL', state, 'slow', 'slow_at'); return 0 end
  redis.call('HSET', state, 'slow', ms(n), 'slow_at', ms(now))
  return n
end

if event == 'restarted' then
  redis.call('HDEL', state, 'failures')
  return slow_to(1)
elseif event == 'failed' then
  if redis.call('HINCRBY', state, 'failures', 1) < 3 then return slow end
  redis.call('HDEL', state, 'failures')
  return slow_to(math.max(1, math.floor((slow > 0 and slow or full) / 2)))
end
redis.call('HDEL', state, 'failures')
-- The limit that a 429 taught has been raised.
local learned = tonumber(redis.call('HGET', state, 'limit') or 0)
if told > learned and learned > 0 then
  redis.call('HSET', state, 'limit', ms(told))
  redis.call('HDEL', state, 'limit_from', 'limit_step', 'limit_hold') -- no guess any more
end
if slow == 0 then return 0 end
-- A step each tenth of the window, so that a slow account is itself again after one.
if now - tonumber(redis.call('HGET', state, 'slow_at')) < per / 10 then return slow end
return slow_to(slow + math.max(1, math.floor(full / 10)))
