-- pause(the account until a moment), and what an answer taught about its limit.
-- KEYS state, budget
-- ARGV wait in ms from now or 0, limit or 0, how long the limit is believed,
--      why: "ahead" (pause only if this many calls a window of that many ms are not
--      spent yet), "429" (find the limit if it was not told) or "", calls, window in ms
--#include time
local state, budget = KEYS[1], KEYS[2]
redis.call('HDEL', state, '') -- runs on a full Redis, see doc.go
local limit, believed, why = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local spent = redis.call('ZCOUNT', budget, ms(now - tonumber(ARGV[6])), '+inf')
if why == 'ahead' and tonumber(ARGV[5]) > 0 and spent >= tonumber(ARGV[5]) then return '0' end
if why == '429' and limit == 0 and spent > 1 then
  -- The calls of this window but the refused one are what the API allows, or what others leave.
  limit, believed = spent - 1, believed / 6
end
local paused = 0
if tonumber(ARGV[1]) > 0 then
  paused = math.max(now + tonumber(ARGV[1]), tonumber(redis.call('HGET', state, 'paused_until') or 0))
  redis.call('HSET', state, 'paused_until', ms(paused))
end
if limit > 0 then
  redis.call('HSET', state, 'limit', ms(limit), 'limit_until', ms(now + believed))
end
return ms(paused)
