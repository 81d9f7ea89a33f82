-- hold(a scope): the first call that fails for a cause of its account or
-- project creates the hold; a failed probe doubles the time to the next one;
-- a call that was under way when the hold began changes nothing.
-- KEYS hold
-- ARGV scope, reason, detail, probe, first step, longest step
--#include time
local text = redis.call('HGET', KEYS[1], ARGV[1])
local h
if text then
  if ARGV[4] ~= '1' then return { 'held', text } end
  h = cjson.decode(text)
  h.step = math.min(h.step * 2, tonumber(ARGV[6]))
else
  h = { since = now, step = tonumber(ARGV[5]) }
end
h.reason, h.detail, h.next = ARGV[2], ARGV[3], now + h.step
local new = cjson.encode(h)
redis.call('HSET', KEYS[1], ARGV[1], new)
return { text and 'extended' or 'created', new }
