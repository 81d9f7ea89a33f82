-- peek(): which lanes may be served now, when the next one may, whether there is any hold,
-- and the one of the account.
-- KEYS ready x3, served, hold
-- ARGV most lanes a priority
--#include time
local lanes, next_at = {}, nil
for p = 1, 3 do
  local found = redis.call('ZRANGEBYSCORE', KEYS[p], '-inf', ms(now), 'WITHSCORES', 'LIMIT', 0, ARGV[1])
  for i = 1, #found, 2 do
    local project = string.match(found[i], '^[^:]+')
    local last = redis.call('ZSCORE', KEYS[4], project)
    lanes[#lanes + 1] = { found[i], ms(tonumber(found[i + 1])), ms(last and tonumber(last) or 0) }
  end
  local later = redis.call('ZRANGEBYSCORE', KEYS[p], '(' .. ms(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if later[2] then next_at = math.min(next_at or math.huge, tonumber(later[2])) end
end
return { ms(now), ms(next_at or 0), lanes, redis.call('EXISTS', KEYS[5]), redis.call('HGET', KEYS[5], 'account') or '' }
