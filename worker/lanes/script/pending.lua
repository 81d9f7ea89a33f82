-- The pending sets of one family of lanes: urgent (1), normal (2), bulk (3).
-- Needs: ready, pending, again (arrays of three keys), lanes, spread, hold, lane_ids, project, pace.

-- An entry of `again` is what an item waits for besides its due time in `pending`:
-- "t" a later purge due at t, "t+n" one that asks for a rebound n ms after it, and
-- "+n" the rebound of the pending purge itself; comma-separated.

-- read_again answers the pending purge's rebound (0: none) and the later purges.
-- What is due by now the pending purge covers, for its call is still to come:
-- it takes over the rebound.
local function read_again(text)
  local rebound, later = 0, {}
  for at, after in string.gmatch(text or '', '(%d*)%+?(%d*),?') do
    at, after = tonumber(at), tonumber(after) or 0
    if at and at > now then later[#later + 1] = { at = at, rebound = after }
    else rebound = math.max(rebound, after) end
  end
  return rebound, later
end

-- put notes one more later purge and answers whether that was new.
local function put(later, at, rebound)
  for i = 1, #later do
    if later[i].at == at then
      local longer = rebound > later[i].rebound
      if longer then later[i].rebound = rebound end
      return longer
    end
  end
  later[#later + 1] = { at = at, rebound = rebound }
  return true
end

-- bound keeps a list short: a purge whose neighbours are closest goes, since a call
-- at the next one covers it. So what was merged is never put off much.
local MOST_LATER = 64
local function bound(later)
  while #later > MOST_LATER do
    local at, least, before = 1, math.huge, now
    for i = 1, #later - 1 do
      if later[i + 1].at - before < least then at, least = i, later[i + 1].at - before end
      before = later[i].at
    end
    local earlier = table.remove(later, at)
    later[at].rebound = math.max(later[at].rebound, earlier.rebound)
  end
end

local function by_time(a, b) return a.at < b.at end

local function write_again(key, item, rebound, later)
  table.sort(later, by_time)
  bound(later)
  local parts = {}
  for i = 1, #later do
    parts[i] = ms(later[i].at)
    if later[i].rebound > 0 then parts[i] = parts[i] .. '+' .. ms(later[i].rebound) end
  end
  if rebound > 0 then parts[#parts + 1] = '+' .. ms(rebound) end
  if #parts == 0 then redis.call('HDEL', key, item)
  else redis.call('HSET', key, item, table.concat(parts, ',')) end
end

-- whole rounds up to seconds, so that a busy item keeps few later purges.
local function whole(at) return math.ceil(at / 1000) * 1000 end

-- add makes sure that a call which starts at `due` or later will hold the item.
-- at, old: the priority in which a twin is pending, and its due time; or nil.
-- Answers 'added', 'again' (one call cannot serve both) or 'duplicate'.
local function add(p, item, due, rebound, at, old)
  if not at then
    redis.call('ZADD', pending[p], ms(due), item)
    if rebound > 0 then write_again(again[p], item, rebound, {}) end
    return 'added'
  end
  local to, first = math.min(at, p), math.min(due, old)
  local one_call = due == old or math.max(due, old) <= now
  if to ~= at or first ~= old then
    if to ~= at then redis.call('ZREM', pending[at], item) end
    redis.call('ZADD', pending[to], ms(first), item)
  end
  if to == at and one_call and rebound == 0 then return 'duplicate' end

  local mine, later = read_again(redis.call('HGET', again[at], item)) -- mine: of the pending purge
  local new
  if one_call then
    new = rebound > mine
    mine = math.max(mine, rebound)
  elseif due > old then
    new = put(later, whole(due), rebound)
  else
    new = put(later, whole(old), mine)
    mine = rebound
  end
  if to ~= at then redis.call('HDEL', again[at], item) end
  write_again(again[to], item, mine, later)
  return new and 'again' or 'duplicate'
end

-- add_all adds items in one go: one look-up a priority, not one an item. It answers
-- which were pending already, too. With dues and rebounds each item has its own.
local function add_all(p, items, from, due, rebound, dues, rebounds)
  local count, twins = { added = 0, again = 0, duplicate = 0 }, {}
  for start = from, #items, 1000 do
    local stop = math.min(start + 999, #items)
    local scores = {}
    for q = 1, 3 do
      local some = redis.call('EXISTS', pending[q]) == 1
      scores[q] = some and redis.call('ZMSCORE', pending[q], unpack(items, start, stop)) or {}
    end
    local fresh, at_due = {}, ms(due)
    for i = start, stop do
      if dues then due, rebound = dues[i], rebounds[i]; at_due = ms(due) end
      local at, old
      for q = 1, 3 do
        local score = scores[q][i - start + 1]
        if score then at, old = q, tonumber(score) end
      end
      if at then twins[items[i]] = true end
      if at or rebound > 0 then
        local outcome = add(p, items[i], due, rebound, at, old)
        count[outcome] = count[outcome] + 1
      else
        local n = #fresh
        fresh[n + 1], fresh[n + 2] = at_due, items[i]
        count.added = count.added + 1
      end
    end
    if #fresh > 0 then redis.call('ZADD', pending[p], unpack(fresh)) end
  end
  return count, twins
end

-- next_time is when lane p may be served, but for spread and holds: at once
-- when a full batch is due, less when its first item has lingered. It answers
-- the due time of that item too.
local function next_time(p)
  local head = redis.call('ZRANGE', pending[p], 0, 0, 'WITHSCORES')
  if #head == 0 then return nil end
  local first = tonumber(head[2])
  if p == 1 then return first, first end
  local nth = redis.call('ZRANGE', pending[p], pace.full - 1, pace.full - 1, 'WITHSCORES')
  local full = nth[2] and tonumber(nth[2]) or math.huge
  return math.min(first + pace.linger, math.max(first, full)), first
end

-- blocked is until when spread or a hold of the project keeps lane p back. Spread
-- does so no longer than max_delay, whatever debt other lanes have run up.
local function blocked(p, first)
  local at = 0
  if p ~= 1 and pace.rate > 0 then
    at = tonumber(redis.call('HGET', spread, 'until') or 0)
    if pace.max_delay > 0 then at = math.min(at, first + pace.max_delay) end
  end
  local held = redis.call('HGET', hold, 'project:' .. project)
  if held then at = math.max(at, cjson.decode(held).next) end
  return at
end

-- offer makes lane p ready, earlier than it was but never later: its place in
-- the queue is the time it was last served, and new items must not lose it.
local function offer(p)
  local at, first = next_time(p)
  if not at then return nil end
  at = math.max(at, blocked(p, first), now)
  local old = redis.call('ZSCORE', ready[p], lane_ids[p])
  if old and tonumber(old) <= at then return nil end
  redis.call('ZADD', ready[p], ms(at), lane_ids[p])
  if not old then redis.call('HSET', lanes, lane_ids[p], pace.lanes[p]) end
  return at
end
