-- pause(the account until a moment), and what an answer taught about its limit.
-- KEYS state, budget
-- ARGV wait in ms from now or 0, limit or 0, how long the limit is believed,
--      pause only if this many calls a window of that many ms are not spent yet (0, 0: always)
--#include time
local state, budget = KEYS[1], KEYS[2]
local calls, per = tonumber(ARGV[4]), tonumber(ARGV[5])
if calls > 0 and redis.call('ZCOUNT', budget, ms(now - per), '+inf') >= calls then return '0' end
local paused = 0
if tonumber(ARGV[1]) > 0 then
  paused = math.max(now + tonumber(ARGV[1]), tonumber(redis.call('HGET', state, 'paused_until') or 0))
  redis.call('HSET', state, 'paused_until', ms(paused))
end
if tonumber(ARGV[2]) > 0 then
  redis.call('HSET', state, 'limit', ARGV[2], 'limit_until', ms(now + tonumber(ARGV[3])))
end
return ms(paused)
