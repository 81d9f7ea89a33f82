-- Budget, holds, in-flight limit and spread: what may refuse a call.
-- Needs: inflight, batches, budget, state, spread, hold, superseded, project, pace.
--#include limit

-- What answers taught of the account, read once: no script that needs it changes it.
local learned = redis.call('HMGET', state, 'paused_until', 'limit', 'limit_until', 'slow', 'failures', 'max:' .. pace.kind, 'limit_from', 'limit_step')
local paused_until, slow = tonumber(learned[1] or 0), tonumber(learned[4] or 0)

local limit_of_budget = pace.calls
if learned[2] then
  local limit = learned_limit(learned[2], learned[3], learned[7], learned[8], pace.per)
  if limit > 0 and (limit_of_budget == 0 or limit < limit_of_budget) then limit_of_budget = limit end
end
if slow > 0 and limit_of_budget > 0 then limit_of_budget = math.min(limit_of_budget, slow) end

-- An account without a budget slows down by the calls under way.
local limit_in_flight = pace.in_flight
if slow > 0 and pace.calls == 0 then limit_in_flight = math.min(limit_in_flight, slow) end

-- Whether adapt must hear of a success.
local is_adapting = (learned[4] or learned[5] or learned[2]) and true or false

-- is_superseded tells that the items of a batch went back to their lane.
local function is_superseded(batch)
  return tonumber(redis.call('ZSCORE', superseded, batch) or 0) > now
end

-- booked_calls counts the halves of splits that were refused for the budget and
-- come back for it: claims leave them up to half of it. Sent back to their lane,
-- they would only meet their poisonous twin again. It answers too when the first
-- booking lapses, should its half not come.
local function booked_calls(booked, limit)
  redis.call('ZREMRANGEBYSCORE', booked, '-inf', ms(now))
  local first = redis.call('ZRANGE', booked, 0, 0, 'WITHSCORES')
  local count = math.min(redis.call('ZCARD', booked), math.max(1, math.floor(limit / 2)))
  return count, tonumber(first[2]) or math.huge
end

-- budget_wait answers nil when a call may be made now, else when and why not.
-- An entry's score is when its call had ended for certain, so that calls which
-- travel for different times are still `per` apart where Vercel counts them.
-- A claim says which bookings it leaves a call to.
local function budget_wait(urgent, booked)
  if paused_until > now then return paused_until, 'paused' end
  local limit = limit_of_budget
  if limit == 0 then return nil end
  redis.call('ZREMRANGEBYSCORE', budget, '-inf', ms(now - pace.per - 1))
  local room = limit
  if not urgent then room = limit - math.min(pace.reserve, limit - 1) end
  local count, lapses = 0, math.huge
  if booked then count, lapses = booked_calls(booked, limit) end
  local used = redis.call('ZCARD', budget)
  if used < room - count then return nil end
  local at = redis.call('ZRANGE', budget, used - room + count, used - room + count, 'WITHSCORES')[2]
  at = at and tonumber(at) + pace.per + 1
  -- What is free, or would be, is booked: it is left until the booking lapses.
  if not at or used < room then at = math.min(at or math.huge, lapses) end
  return at, 'budget'
end

-- held_until answers for a hold as it is written: nil, until when it refuses, or 'probe'.
local function held_until(text)
  if not text then return nil end
  local h = cjson.decode(text)
  if h.next > now then return h.next end
  return 'probe', h
end

-- GIVE_WAY is how long attempts of the project that failed leave an account's probe to
-- calls of others; the pacer serves those first.
local GIVE_WAY = 2000

-- probe takes the one call that may look whether a hold's cause is gone.
local function probe(scope, h)
  h.next = now + math.max(h.step, pace.lease)
  redis.call('HSET', hold, scope, cjson.encode(h))
end

-- cost of an item: the first weight that matches it, else 1.
local function cost(item)
  for i = 1, #pace.weights do
    local w = pace.weights[i]
    if w.prefix and string.sub(item, 1, #w.match) == w.match or item == w.match then return w.cost end
  end
  return 1
end

local function cost_of(items)
  if #pace.weights == 0 then return #items end
  local sum = 0
  for i = 1, #items do sum = sum + cost(items[i]) end
  return sum
end

-- tokens of the spread as they stand now, filled at `rate` a second.
local function tokens_now(rate)
  local had = redis.call('HMGET', spread, 'tokens', 'at')
  if not had[1] then return pace.burst end
  return math.min(pace.burst, tonumber(had[1]) + rate * math.max(0, now - tonumber(had[2])) / 1000)
end

-- raised is the rate that lets debt and backlog go within max_delay of the oldest item's due time.
local function raised(rate, backlog_cost, oldest)
  if pace.max_delay == 0 then return rate end
  local left = pace.max_delay - (now - oldest)
  if left <= 0 then return math.huge end
  local debt = math.max(0, -tokens_now(rate))
  return math.max(rate, (debt + backlog_cost) * 1000 / left)
end

-- spread_wait answers nil when the bucket is out of debt, else until when it is in debt.
local function spread_wait(rate)
  if rate == math.huge then return nil end
  local tokens = tokens_now(rate)
  if tokens > 0 then return nil end
  return now + math.max(1, math.ceil(-tokens * 1000 / rate + 0.001))
end

-- keep_spread lets the bucket of a project that has gone quiet go once it would
-- be full again, which is how a new one starts.
local YEAR = 31536000000
local function keep_spread(wait)
  redis.call('PEXPIRE', spread, ms(math.min(YEAR, math.max(wait + 60000, redis.call('PTTL', spread)))))
end

-- charge takes the cost of a batch out of the bucket, into debt if need be.
-- At an unlimited rate (the backlog is overdue) debt does not pile up.
local function charge(amount, rate)
  local tokens
  if rate == math.huge then tokens = math.max(0, tokens_now(pace.rate)) - amount
  else tokens = tokens_now(rate) - amount end
  redis.call('HSET', spread, 'tokens', string.format('%.6f', tokens), 'at', ms(now))
  redis.call('HSET', spread, 'until', ms(spread_wait(rate) or now))
  keep_spread((pace.burst - tokens) * 1000 / pace.rate)
end

-- lease_call books one call: its lease, its place in the budget. Until `finish`
-- says when the call ended, the budget assumes the latest moment it could end.
local function lease_call(batch, attempt, record)
  redis.call('ZADD', inflight, ms(now + pace.lease), batch)
  redis.call('HSET', batches, batch, record)
  if limit_of_budget > 0 then
    redis.call('ZADD', budget, ms(now + pace.lease), batch .. '#' .. attempt)
  end
end
