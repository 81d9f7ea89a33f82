-- survey(lanes): what waits in each, and where it stands in its project's line.
-- KEYS ready x3, order, ahead, pending...
-- ARGV what is due later than so many ms ahead is scheduled; then priority and id of each lane
--#include time
local answer, soon = { ms(now) }, '(' .. ms(now + tonumber(ARGV[1]))
for i = 6, #KEYS do
  local p, id = ARGV[2 * (i - 6) + 2], ARGV[2 * (i - 6) + 3]
  local head = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  if head[2] then
    local at = redis.call('ZSCORE', KEYS[tonumber(p)], id)
    local stands = false
    if at then
      local digits = ms(tonumber(at))
      local project, rest = string.match(id, '^([^:]+)(.*)$')
      stands = redis.call('ZSCORE', KEYS[4], project .. ':' .. p .. ':' .. string.rep('0', 15 - #digits) .. digits .. rest)
    end
    local passes = redis.call('ZSCORE', KEYS[5], id)
    answer[#answer + 1] = {
      i - 6, redis.call('ZCARD', KEYS[i]), redis.call('ZCOUNT', KEYS[i], soon, '+inf'), ms(tonumber(head[2])),
      ms(at and tonumber(at) or 0), stands and 1 or 0,
      ms(passes and tonumber(passes) or 0),
    }
  end
end
return answer
