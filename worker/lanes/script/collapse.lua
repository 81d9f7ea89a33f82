-- collapse(items of a lane): those that are pending and due leave it, and one item takes
-- their place. Its call is still to come, so it covers them from this instant on.
-- KEYS lanes, ready x3, pending x3, again x3, spread, hold, collapsed, receipts, origins, turn x3, order, ahead, served
-- ARGV pace, project, priority, lane id x3, item in their place, item...
local lanes, spread, hold, collapsed, receipts, origins = KEYS[1], KEYS[11], KEYS[12], KEYS[13], KEYS[14], KEYS[15]
local ready = { KEYS[2], KEYS[3], KEYS[4] }
local pending = { KEYS[5], KEYS[6], KEYS[7] }
local again = { KEYS[8], KEYS[9], KEYS[10] }
local turn = { KEYS[16], KEYS[17], KEYS[18] }
local order, ahead, served = KEYS[19], KEYS[20], KEYS[21]
local pace, project, p = cjson.decode(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local lane_ids = { ARGV[4], ARGV[5], ARGV[6] }
local to = ARGV[7]
--#include time
--#include pending
--#include receipts
--#include origins

redis.call('ZREM', receipts, '') -- runs on a full Redis, see doc.go
-- go-redis sends a script again when its reply was lost: answer as the first time.
local before = redis.call('GET', collapsed)
if before then return cjson.decode(before) end

-- Whoever named the items looked some time ago: some may be claimed by now, or due later,
-- and a search may have found one twice.
local items, oldest, seen = {}, now, {}
for start = 8, #ARGV, 1000 do
  local stop = math.min(start + 999, #ARGV)
  local scores = redis.call('ZMSCORE', pending[p], unpack(ARGV, start, stop))
  for i = start, stop do
    local score = scores[i - start + 1]
    local due = score and tonumber(score)
    if due and due <= now and ARGV[i] ~= to and not seen[ARGV[i]] then
      seen[ARGV[i]] = true
      items[#items + 1] = ARGV[i]
      oldest = math.min(oldest, due)
    end
  end
end

-- As for a claim: what is due by now is covered, what is due later stays. A second purge
-- after the first one is one after the item in their place; the longest wait serves all.
local longest = 0
for start = 1, #items, 1000 do
  local stop = math.min(start + 999, #items)
  redis.call('ZREM', pending[p], unpack(items, start, stop))
  local notes = redis.call('HMGET', again[p], unpack(items, start, stop))
  for i = start, stop do
    local text = notes[i - start + 1]
    if text then
      local rebound, later = read_again(text)
      longest = math.max(longest, rebound)
      table.sort(later, by_time)
      local following = table.remove(later, 1)
      if following then redis.call('ZADD', pending[p], ms(following.at), items[i]) end
      write_again(again[p], items[i], following and following.rebound or 0, later)
    end
  end
end

-- hand_over gives the receipts that wait for the items by now to the one in their place.
-- The item that was asked for stays, as a line before the receipt's id: so two items of
-- one receipt are two members still, and are counted as two.
local function hand_over()
  local most, gone, members = 500, {}, {}
  for i = 1, #items do
    local first, last = '[' .. items[i] .. '\n', '(' .. items[i] .. due_by(now)
    repeat
      local found = redis.call('ZRANGE', receipts, first, last, 'BYLEX', 'LIMIT', 0, most)
      for n = 1, #found do
        local due, rest = string.match(found[n], '^[^\n]*\n(%d+)\n(.*)$')
        if not string.find(rest, '\n', 1, true) then rest = items[i] .. '\n' .. rest end
        gone[#gone + 1] = found[n]
        members[#members + 1] = '0'
        members[#members + 1] = to .. '\n' .. due .. '\n' .. rest
      end
      if #gone >= most or i == #items and #gone > 0 then
        redis.call('ZADD', receipts, unpack(members))
        redis.call('ZREM', receipts, unpack(gone))
        gone, members = {}, {}
      end
    until #found < most
  end
  keep(receipts, 0)
end

local ready_at
if #items > 0 then
  if redis.call('EXISTS', receipts) == 1 then hand_over() end
  local at, old
  for q = 1, 3 do
    local score = redis.call('ZSCORE', pending[q], to)
    if score then at, old = q, tonumber(score) end
  end
  local texts = redis.call('EXISTS', origins) == 1 and take_origins(origins, items, true)
  if texts then -- beside those who asked for it by name
    local all = texts[1]
    for i = 2, #texts do all = joined(all, texts[i]) end
    originate(origins, { to }, 1, at and { [to] = true } or {}, all, nil, true, 0)
  end
  -- Due since the oldest of them was: it waits no longer for having taken their place.
  add(p, to, oldest, longest, at, old)
  for q = 1, p do
    local offered = offer(q)
    if offered then ready_at = math.min(ready_at or offered, offered) end
  end
  if ready_at then redis.call('PUBLISH', 'edgepurge:wake', pace.account) end
end

local answer = { #items, ms(ready_at or 0) }
redis.call('SET', collapsed, cjson.encode(answer), 'PX', 30000)
return answer
