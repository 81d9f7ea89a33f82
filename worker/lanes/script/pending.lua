-- The pending sets of one family of lanes: urgent (1), normal (2), bulk (3).
-- Needs: ready, pending, again (arrays of three keys), lanes, spread, hold, lane_ids, project, pace.

-- later_dues reads an entry of `again`: due times, and "+n" for a rebound of n ms.
local function later_dues(text)
  local dues, rebound = {}, 0
  for part in string.gmatch(text or '', '[^,]+') do
    if string.sub(part, 1, 1) == '+' then rebound = tonumber(string.sub(part, 2))
    else dues[#dues + 1] = tonumber(part) end
  end
  return dues, rebound
end

local function write_again(key, item, dues, rebound)
  local parts = {}
  table.sort(dues)
  for i = 1, #dues do parts[i] = ms(dues[i]) end
  if rebound > 0 then parts[#parts + 1] = '+' .. ms(rebound) end
  if #parts == 0 then redis.call('HDEL', key, item)
  else redis.call('HSET', key, item, table.concat(parts, ',')) end
end

-- merge_dues bounds a list: of the two closest due times the earlier one goes,
-- since a call at the later one covers both.
local MOST_DUES = 64
local function merge_dues(dues)
  while #dues > MOST_DUES do
    table.sort(dues)
    local at, gap = 1, math.huge
    for i = 1, #dues - 1 do
      if dues[i + 1] - dues[i] < gap then at, gap = i, dues[i + 1] - dues[i] end
    end
    table.remove(dues, at)
  end
end

-- note keeps a later due time (whole seconds, rounded up, so that a busy item
-- keeps few) and the longest rebound. It answers whether anything was new.
local function note(key, item, due, rebound)
  local dues, longest = later_dues(redis.call('HGET', key, item))
  local new = rebound > longest
  local keep = {}
  for i = 1, #dues do
    -- What is due by now is covered by the pending twin, whose call is still to come.
    if dues[i] > now then keep[#keep + 1] = dues[i] end
  end
  if due then
    due = math.ceil(due / 1000) * 1000
    local known = false
    for i = 1, #keep do known = known or keep[i] == due end
    if not known then keep[#keep + 1] = due; new = true end
  end
  merge_dues(keep)
  write_again(key, item, keep, math.max(rebound, longest))
  return new
end

-- add makes sure that a call which starts at `due` or later will hold the item.
-- at, old: the priority in which a twin is pending, and its due time; or nil.
-- Answers 'added', 'again' (the twin's call would be too early for it) or 'duplicate'.
local function add(p, item, due, rebound, at, old)
  if not at then
    redis.call('ZADD', pending[p], ms(due), item)
    if rebound > 0 then write_again(again[p], item, {}, rebound) end
    return 'added'
  end
  local first, last, to = math.min(due, old), math.max(due, old), math.min(at, p)
  if to ~= at then
    redis.call('ZREM', pending[at], item)
    local moved = redis.call('HGET', again[at], item)
    if moved then
      redis.call('HDEL', again[at], item)
      redis.call('HSET', again[to], item, moved)
    end
  end
  if to ~= at or first ~= old then redis.call('ZADD', pending[to], ms(first), item) end
  if last <= first or last <= now then last = nil end
  if (last or rebound > 0) and note(again[to], item, last, rebound) then return 'again' end
  return 'duplicate'
end

-- add_all adds items in one go: one look-up a priority, not one an item.
local function add_all(p, items, from, due, rebound)
  local count = { added = 0, again = 0, duplicate = 0 }
  for start = from, #items, 1000 do
    local stop = math.min(start + 999, #items)
    local scores = {}
    for q = 1, 3 do scores[q] = redis.call('ZMSCORE', pending[q], unpack(items, start, stop)) end
    local fresh = {}
    for i = start, stop do
      local at, old
      for q = 1, 3 do
        local score = scores[q][i - start + 1]
        if score then at, old = q, tonumber(score) end
      end
      if at or rebound > 0 then
        local outcome = add(p, items[i], due, rebound, at, old)
        count[outcome] = count[outcome] + 1
      else
        fresh[#fresh + 1] = ms(due)
        fresh[#fresh + 1] = items[i]
        count.added = count.added + 1
      end
    end
    if #fresh > 0 then redis.call('ZADD', pending[p], unpack(fresh)) end
  end
  return count
end

-- next_time is when lane p may be served, but for spread and holds: at once
-- when a full batch is due, less when its first item has lingered.
local function next_time(p)
  local head = redis.call('ZRANGE', pending[p], 0, 0, 'WITHSCORES')
  if #head == 0 then return nil end
  local first = tonumber(head[2])
  if p == 1 then return first end
  local nth = redis.call('ZRANGE', pending[p], pace.full - 1, pace.full - 1, 'WITHSCORES')
  local full = nth[2] and tonumber(nth[2]) or math.huge
  return math.min(first + pace.linger, math.max(first, full))
end

-- blocked is until when spread or a hold of the project keeps lane p back.
local function blocked(p)
  local at = 0
  if p ~= 1 then at = tonumber(redis.call('HGET', spread, 'until') or 0) end
  local held = redis.call('HGET', hold, 'project:' .. project)
  if held then at = math.max(at, cjson.decode(held).next) end
  return at
end

-- offer makes lane p ready, earlier than it was but never later: its place in
-- the queue is the time it was last served, and new items must not lose it.
local function offer(p)
  local at = next_time(p)
  if not at then return nil end
  at = math.max(at, blocked(p), now)
  local old = redis.call('ZSCORE', ready[p], lane_ids[p])
  if old and tonumber(old) <= at then return nil end
  redis.call('ZADD', ready[p], ms(at), lane_ids[p])
  if not old then redis.call('HSET', lanes, lane_ids[p], pace.lanes[p]) end
  return at
end
