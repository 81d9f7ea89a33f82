-- claim(a batch of one lane for one call).
-- KEYS lanes, ready, pending, again, inflight, batches, budget, state, spread, hold, served, booked, superseded, receipts, carried, origins, failed, turn, order, ahead
-- ARGV pace, project, priority, lane id, batch id
local lanes, ready_key, pending_key, again_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local inflight, batches, budget, state = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local spread, hold, served, booked, superseded = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local receipts, carried, origins, failed = KEYS[14], KEYS[15], KEYS[16], KEYS[17]
local pace, project, p, lane_id, batch = cjson.decode(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local order, ahead = KEYS[19], KEYS[20]
local ready, pending, again, turn, lane_ids = {}, {}, {}, {}, {}
ready[p], pending[p], again[p], turn[p], lane_ids[p] = ready_key, pending_key, again_key, KEYS[18], lane_id
local urgent = p == 1
--#include time
--#include pending
--#include terms
--#include budget
--#include receipts
--#include origins

redis.call('ZREM', inflight, '') -- runs on a full Redis, see doc.go
-- go-redis sends a script again when its reply was lost: answer as the first time.
local before = redis.call('HGET', batches, batch)
if before then return { 'claimed before', before } end
-- So late that the lease had ended and the items had gone back: a batch under this
-- id could not be restored a second time.
if is_superseded(batch) then return { 'refused', 'superseded', ms(now), ms(now) } end

-- later puts the lane, or its whole project, off to when it may be served and tells the
-- pacer why. What keeps the whole project back leaves its line as it is.
local function later(reason, at, pass)
  if reason == 'linger' or reason == 'empty' then place(p, at, pass)
  elseif pass then redis.call('ZADD', ahead, ms(pass), lane_id) end
  take_turn(p)
  return { 'refused', reason, ms(at or 0), ms(now) }
end

-- What concerns the whole account refuses without touching the lane.
local holds = redis.call('HMGET', hold, 'account', 'project:' .. project)
local account_hold, account_h = held_until(holds[1])
if account_hold and account_hold ~= 'probe' then return { 'refused', 'held', ms(account_hold), ms(now) } end
local wait, why = budget_wait(urgent, booked)
if wait then return { 'refused', why, ms(wait), ms(now) } end
if redis.call('ZCARD', inflight) >= limit_in_flight then return { 'refused', 'in_flight', ms(now + 100), ms(now) } end

-- First, for `later` must not make an emptied lane ready: it has no entry any more.
local next_at, first = next_time(p)
if not next_at then return later('empty') end
local project_hold, project_h = held_until(holds[2])
if project_hold and project_hold ~= 'probe' then return later('project_held', project_hold) end
if next_at > now then return later('linger', next_at, passes(p, first)) end

-- The oldest due items that fit, by number (array form) or by length (string form).
local most = pace.max_items
if learned[6] and pace.max_bytes == 0 then
  local n, till = string.match(learned[6], '^(%d+):(%d+)$')
  if tonumber(till) > now then most = math.min(most, tonumber(n)) end
end
-- All of them failed equally often, as the oldest did, so that none dies of another's
-- attempts; one that is passed over keeps its place.
local any_failed = redis.call('EXISTS', failed) == 1
local items, afters, bytes, oldest, looked, failures_before, noted = {}, {}, -1, first, 0, nil, {}
while #items < most and looked < most + 1000 do
  local chunk = math.min(any_failed and math.max(most, 64) or most - #items, 500)
  local due = redis.call('ZRANGEBYSCORE', pending_key, '-inf', ms(now), 'WITHSCORES', 'LIMIT', looked, chunk)
  local names = {}
  for i = 1, #due, 2 do names[#names + 1] = due[i] end
  local entries = any_failed and #names > 0 and redis.call('HMGET', failed, unpack(names)) or {}
  local full = #names == 0
  for i = 1, #names do
    local item, at = names[i], tonumber(due[2 * i])
    local count = entries[i] and failures(entries[i], at) or 0
    failures_before = failures_before or count
    if count == failures_before then
      if #items == most or pace.max_bytes > 0 and #items > 0 and bytes + 1 + #item > pace.max_bytes then full = true; break end
      bytes = bytes + 1 + #item
      items[#items + 1], afters[#items + 1] = item, at - oldest
      if entries[i] then noted[#noted + 1] = item end
    end
  end
  looked = looked + #names
  if full or #names < chunk then break end
end

-- ahead_at is when a lane may go for itself: at the rate that its own backlog needs, and
-- no later than max_delay after its first item was due.
local function ahead_at(first, rate)
  local pass = passes(p, first)
  if pass and rate > pace.rate then return math.min(pass, spread_wait(rate) or now) end
  return pass
end

local rate = pace.rate > 0 and pace.rate or math.huge
local amount = cost_of(items)
if rate ~= math.huge then
  local backlog = redis.call('ZCOUNT', pending_key, '-inf', ms(now))
  rate = raised(rate, backlog * amount / #items, oldest)
  local debt = not urgent and spread_wait(rate)
  if debt then
    redis.call('HSET', spread, 'until', ms(debt))
    return later('spread', debt, ahead_at(oldest, rate))
  end
end

-- Nothing refuses any more: from here on it only writes.
local deadline = pace.deadline
if pace.stagger_over > 0 and deadline < 0 then
  -- The hard deletions of a backlog fall evenly between min and min+over: each
  -- batch goes on from the one before it, the last one reaches the end.
  local low, high = now + pace.stagger_min, now + pace.stagger_min + pace.stagger_over
  local field = 'stagger:' .. lane_id
  local last = redis.call('HGET', spread, field)
  local batches_left = math.ceil(redis.call('ZCOUNT', pending_key, '-inf', ms(now)) / #items)
  local at = low
  if last then
    last = tonumber(last)
    at = math.max(low, math.min(high, last + (high - last) / batches_left))
  end
  if batches_left > 1 then
    redis.call('HSET', spread, field, ms(at))
    keep_spread(high - now)
  else redis.call('HDEL', spread, field) end
  deadline = math.floor((at - now) / 1000)
end
local any_again, rebounds = redis.call('EXISTS', again_key) == 1, {}
for start = 1, #items, 1000 do
  local stop = math.min(start + 999, #items)
  redis.call('ZREM', pending_key, unpack(items, start, stop))
  local notes = any_again and redis.call('HMGET', again_key, unpack(items, start, stop))
  for i = start, any_again and stop or 0 do
    local text = notes[i - start + 1]
    rebounds[i] = 0
    if text then
      -- This call starts now: it covers what is due by now and nothing later.
      local rebound, later = read_again(text)
      rebounds[i] = rebound
      if rebound > 0 then put(later, now + rebound, 0) end
      table.sort(later, by_time)
      local following = table.remove(later, 1)
      if following then redis.call('ZADD', pending_key, ms(following.at), items[i]) end
      write_again(again_key, items[i], following and following.rebound or 0, later)
    end
  end
end
for start = 1, #noted, 1000 do
  redis.call('HDEL', failed, unpack(noted, start, math.min(start + 999, #noted)))
end
local tracked = move_all(receipts, carried, items, 1, due_by(now))
local texts, places = take_origins(origins, items)
if pace.rate > 0 then charge(amount, rate) end
local is_probe = false
if account_hold == 'probe' then probe('account', account_h); is_probe = true end
if project_hold == 'probe' then probe('project:' .. project, project_h); is_probe = true end
local attempt, after, rebound = failures_before + 1, compact(afters), any_again and compact(rebounds) or nil
local record = cjson.encode({
  lane = lane_id, items = items, deadline = deadline, claimed = now, due = oldest, probe = is_probe, adapting = is_adapting, attempt = attempt,
  tracked = tracked, origins = texts, origin_of = places, after = after, rebounds = rebound,
})
lease_call(batch, attempt, record)
-- Strictly later than every other project, for many claims may fall into one millisecond.
local latest = redis.call('ZREVRANGE', served, 0, 0, 'WITHSCORES')[2]
redis.call('ZADD', served, ms(math.max(now, (tonumber(latest) or 0) + 1)), project)

-- The lane goes to the end of the line, or leaves it, and the project to the end of the queue.
local at, head = next_time(p)
place(p, at and math.max(at, now), at and ahead_at(head, rate))
take_turn(p)
if not at then
  redis.call('ZREMRANGEBYSCORE', served, '-inf', ms(now - 86400000)) -- projects that went quiet
end
-- Not the record: of all claims this one is worth not being parsed again.
local function bit(b) return b and 1 or 0 end
return { 'claimed', items, deadline, ms(now), ms(oldest), bit(is_probe), bit(is_adapting), bit(tracked), texts or {}, places or {}, attempt, after or {}, rebound or {} }
