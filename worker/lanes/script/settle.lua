-- settle(receipts that a batch carries): its call was accepted, or is a dead letter.
-- Who is taken off the batch is counted, so that nothing is counted twice.
-- KEYS carried, counts...
-- ARGV purged or dead, which of KEYS counts it, member, ...
local carried, field = KEYS[1], ARGV[1]
--#include time
--#include receipts
local counts = {}
for i = 2, #ARGV, 2 do
  local k = tonumber(ARGV[i])
  counts[k] = (counts[k] or 0) + redis.call('ZREM', carried, ARGV[i + 1])
end
for k, n in pairs(counts) do
  -- One that expired meanwhile does not come back.
  if n > 0 and redis.call('EXISTS', KEYS[k]) == 1 then
    redis.call('HINCRBY', KEYS[k], field, n)
    redis.call('HSET', KEYS[k], 'changed', ms(now))
    keep(KEYS[k], 60000)
  end
end
return 1
