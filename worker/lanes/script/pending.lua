-- The pending sets of one family of lanes: urgent (1), normal (2), bulk (3).
-- Needs: ready, pending, again, turn (arrays of three keys), lanes, order, ahead, served, spread, hold, lane_ids, project, pace.

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

-- blocked is until when spread or a hold of the project keeps its lanes of priority p
-- back. The spread's debt may have been written by a worker of another pace: it counts
-- for no longer than this pace would take to pay it.
local function blocked(p)
  local at = 0
  if p ~= 1 and pace.rate > 0 then
    local had = redis.call('HMGET', spread, 'until', 'tokens', 'at')
    if had[1] and had[2] then
      local tokens = tonumber(had[2]) + pace.rate * math.max(0, now - tonumber(had[3])) / 1000
      local own = tokens > 0 and now or now + math.ceil(-tokens * 1000 / pace.rate + 0.001)
      at = math.min(tonumber(had[1]), own)
    end
  end
  local held = redis.call('HGET', hold, 'project:' .. project)
  if held then at = math.max(at, cjson.decode(held).next) end
  return at
end

-- The lanes of a project at one priority stand in a line, the earliest first, and the
-- project takes its turn among the others. So a look costs the same however many lanes
-- a project has.

-- in_line is how lane p is written in `order`, which sorts by name: by project, priority
-- and time.
local function in_line(p, at)
  local digits = ms(at)
  return project .. ':' .. p .. ':' .. string.rep('0', 15 - #digits) .. digits .. string.sub(lane_ids[p], #project + 1)
end

-- passes is from when a lane may be claimed whatever debt the other lanes of its project
-- have run up: max_delay after its first item was due. nil: it never may.
local function passes(p, first)
  if p ~= 1 and pace.rate > 0 and pace.max_delay > 0 then return first + pace.max_delay end
end

-- place puts lane p into the line of its project; without a time it leaves it, and Redis.
-- What frees memory comes first: a Redis that is full lets it through.
local function place(p, at, pass)
  local id = lane_ids[p]
  local old = tonumber(redis.call('ZSCORE', ready[p], id) or nil)
  if old and old ~= at then redis.call('ZREM', order, in_line(p, old)) end
  if not at then
    redis.call('ZREM', ready[p], id)
    redis.call('HDEL', lanes, id)
    if p ~= 1 then redis.call('ZREM', ahead, id) end
    return
  end
  redis.call('ZADD', ready[p], ms(at), id)
  redis.call('ZADD', order, 0, in_line(p, at))
  if pass then redis.call('ZADD', ahead, ms(math.max(at, pass)), id) end
end

-- take_turn says when the lanes of the project at priority p are looked at next: when the
-- first in line may go, behind the projects that were not served for longer. With
-- only_earlier it puts nothing off. It answers when, if it changed that.
local function take_turn(p, only_earlier)
  local old = only_earlier and tonumber(redis.call('ZSCORE', turn[p], project) or nil)
  if old and old <= now then return nil end
  local line = project .. ':' .. p
  local head = redis.call('ZRANGE', order, '[' .. line .. ':', '(' .. line .. ';', 'BYLEX', 'LIMIT', 0, 1)[1]
  if not head then
    redis.call('ZREM', turn[p], project)
    return nil
  end
  local last = tonumber(redis.call('ZSCORE', served, project) or 0)
  local at = math.max(tonumber(string.sub(head, #line + 2, #line + 16)), math.min(last, now), blocked(p))
  if old and old <= at then return nil end
  redis.call('ZADD', turn[p], ms(at), project)
  return at
end

-- offer makes lane p ready, earlier than it was but never later: its place in
-- the line is the time it was last served, and new items must not lose it. With repair
-- it is put into its line even so. With back the place is that of its first item, however
-- long ago that was due: what comes back has waited and does not wait behind the others
-- once more.
local function offer(p, repair, back)
  local at, first = next_time(p)
  if not at then return nil end
  if not back then at = math.max(at, now) end
  local old = tonumber(redis.call('ZSCORE', ready[p], lane_ids[p]) or nil)
  local stays = old and old <= at
  if not old then redis.call('HSET', lanes, lane_ids[p], pace.lanes[p]) end
  local pass = passes(p, first)
  if not stays then place(p, at, pass)
  else
    if repair then redis.call('ZADD', order, 0, in_line(p, old)) end
    if pass then redis.call('ZADD', ahead, 'LT', ms(math.max(old, pass)), lane_ids[p]) end
  end
  local turned = take_turn(p, true)
  if stays then return turned end
  return turned or at
end
