-- absorb(items of one request): duplicates end here.
-- KEYS lanes, ready x3, pending x3, again x3, spread, hold, absorbed, receipts, counts, origins, turn x3, order, ahead, served
-- ARGV pace, project, priority, lane id x3, settle, not_before, rebound,
--      receipt or "", name of this part of the request, origin, item...
local lanes, spread, hold, absorbed = KEYS[1], KEYS[11], KEYS[12], KEYS[13]
local receipts, counts, origins = KEYS[14], KEYS[15], KEYS[16]
local ready = { KEYS[2], KEYS[3], KEYS[4] }
local pending = { KEYS[5], KEYS[6], KEYS[7] }
local again = { KEYS[8], KEYS[9], KEYS[10] }
local turn = { KEYS[17], KEYS[18], KEYS[19] }
local order, ahead, served = KEYS[20], KEYS[21], KEYS[22]
local pace, project, p = cjson.decode(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local lane_ids = { ARGV[4], ARGV[5], ARGV[6] }
--#include time
--#include pending
--#include receipts
--#include origins

-- go-redis sends a script again when its reply was lost: answer as the first time.
local before = redis.call('GET', absorbed)
if before and before ~= '' then return cjson.decode(before) end
-- The first write is one that a full Redis refuses, whatever is pending already (see doc.go).
redis.call('SET', absorbed, '', 'PX', 30000)

local due = math.max(now + tonumber(ARGV[7]), tonumber(ARGV[8]))
local count, twins = add_all(p, ARGV, 13, due, tonumber(ARGV[9]))
local origin = origin_line(ARGV[12], due, tonumber(ARGV[9]))
originate(origins, ARGV, 13, twins, origin, nil, false, due - now)
-- asynq may run the request again long after the first time: its items are pending
-- again then, but each is counted once.
if ARGV[10] ~= '' and redis.call('HSET', counts, ARGV[11], '1') == 1 then
  track(receipts, ARGV, 13, due, ARGV[10])
  keep(receipts, due - now)
  keep(counts, due - now + 60000)
end
local at
for q = 1, p do
  local ready_at = offer(q)
  if ready_at then at = math.min(at or ready_at, ready_at) end
end
if at then redis.call('PUBLISH', 'edgepurge:wake', pace.account) end

local answer = { count.added, count.again, count.duplicate, ms(at or 0) }
redis.call('SET', absorbed, cjson.encode(answer), 'PX', 30000)
return answer
