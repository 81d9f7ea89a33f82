-- acquire(an attempt that asynq makes): fence, budget and lease in one.
-- KEYS inflight, batches, budget, state, spread, hold, superseded, booked, booked by urgent, carried
-- ARGV pace, project, urgent, batch id, attempt, lane id, deadline, due, half of a split,
--      origins and terms of the batch, item...
local inflight, batches, budget, state = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local spread, hold, superseded, booked, booked_urgent, carried = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local pace, project, urgent = cjson.decode(ARGV[1]), ARGV[2], ARGV[3] == '1'
local batch, attempt = ARGV[4], tonumber(ARGV[5])
--#include time
--#include budget
--#include receipts

redis.call('ZREM', inflight, '') -- runs on a full Redis, see doc.go
if is_superseded(batch) then return { 'superseded' } end
local before = redis.call('HGET', batches, batch)
if before and cjson.decode(before).attempt == attempt then
  lease_call(batch, attempt, before) -- asynq may run one attempt twice: the lease covers the later one
  return { 'acquired', before }
end

local function refuse(why, at) return { 'refused', why, ms(at), ms(now) } end
local holds, is_probe = {}, false
for _, scope in ipairs({ 'account', 'project:' .. project }) do
  local held, h = held_until(redis.call('HGET', hold, scope))
  if held and held ~= 'probe' then return refuse('held', held) end
  if held and scope == 'account' and h.project == project and now < h.next + GIVE_WAY then return refuse('held', h.next + GIVE_WAY) end
  if held then holds[scope] = h; is_probe = true end
end
local wait, why = budget_wait(urgent)
if wait then
  if why == 'budget' and ARGV[9] == '1' then
    redis.call('ZADD', booked, ms(wait + 5000), batch)
    if urgent then redis.call('ZADD', booked_urgent, ms(wait + 5000), batch) end
  end
  return refuse(why, wait)
end
if not before and redis.call('ZCARD', inflight) >= limit_in_flight then return refuse('in_flight', now + 100) end
local items = {}
for i = 11, #ARGV do items[#items + 1] = ARGV[i] end
if pace.rate > 0 then
  local debt = not urgent and spread_wait(pace.rate)
  if debt then return refuse('spread', debt) end
  charge(cost_of(items), pace.rate)
end
redis.call('ZREM', booked, batch)
redis.call('ZREM', booked_urgent, batch)
for scope, h in pairs(holds) do probe(scope, h) end
local tracked = redis.call('EXISTS', carried) == 1 or nil
if tracked then keep(carried, 0) end
-- A replayed letter begins again at attempt 1: each call of that number counts still.
local call = batch .. '#' .. attempt
local former = redis.call('ZSCORE', budget, call)
if former then
  local n = 1
  while redis.call('ZSCORE', budget, call .. '@' .. n) do n = n + 1 end
  redis.call('ZADD', budget, former, call .. '@' .. n)
end
local brought = cjson.decode(ARGV[10])
local record = cjson.encode({
  lane = ARGV[6], items = items, deadline = tonumber(ARGV[7]), claimed = now,
  due = tonumber(ARGV[8]), probe = is_probe, adapting = is_adapting, attempt = attempt, tracked = tracked,
  origins = brought.origins, origin_of = brought.origin_of, after = brought.after, rebounds = brought.rebounds, noted = brought.noted,
})
lease_call(batch, attempt, record)
return { 'acquired', record }
