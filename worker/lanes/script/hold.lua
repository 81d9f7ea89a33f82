-- hold(a scope): the first call that fails for a cause of its account or
-- project creates the hold; a failed probe doubles the time to the next one;
-- a call that was under way when the hold began changes nothing.
-- KEYS hold
-- ARGV scope, reason, detail, probe, first step, longest step, batch id and attempt
--#include time
local text = redis.call('HGET', KEYS[1], ARGV[1])
local h
if text then
  h = cjson.decode(text)
  if h.by == ARGV[7] then return { h.how, text } end -- sent again after a lost reply
  if ARGV[4] ~= '1' then return { 'held', text } end
  h.step = math.min(h.step * 2, tonumber(ARGV[6]))
else
  h = { since = now, step = tonumber(ARGV[5]) }
end
h.reason, h.detail, h.next = ARGV[2], ARGV[3], now + h.step
h.by, h.how = ARGV[7], text and 'extended' or 'created'
local new = cjson.encode(h)
redis.call('HSET', KEYS[1], ARGV[1], new)
return { h.how, new }
