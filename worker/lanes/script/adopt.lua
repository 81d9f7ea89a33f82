-- adopt(a parcel of another account's items): each waits here as it did there. Done twice
-- it changes nothing more, unless a call was made in between: then that call is repeated.
-- KEYS lanes, ready x3, pending x3, again x3, spread, hold, receipts, origins, failed, turn x3, order, ahead, served, counts...
-- ARGV pace, project, priority, lane id x3, parcel
local lanes, spread, hold = KEYS[1], KEYS[11], KEYS[12]
local ready = { KEYS[2], KEYS[3], KEYS[4] }
local pending = { KEYS[5], KEYS[6], KEYS[7] }
local again = { KEYS[8], KEYS[9], KEYS[10] }
local receipts, origins, failed = KEYS[13], KEYS[14], KEYS[15]
local turn = { KEYS[16], KEYS[17], KEYS[18] }
local order, ahead, served = KEYS[19], KEYS[20], KEYS[21]
local pace, project, p = cjson.decode(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local lane_ids = { ARGV[4], ARGV[5], ARGV[6] }
local parcel = cjson.decode(ARGV[7])
local items = parcel.items
--#include time
--#include pending
--#include terms
--#include receipts
--#include origins

local dues, rebounds, laters, texts, last = {}, {}, {}, {}, now
for i = 1, #items do
  dues[i] = tonumber(parcel.dues[i])
  rebounds[i], laters[i] = read_again(parcel.again[i])
  last = math.max(last, dues[i])
  if parcel.origins[i] ~= '' then texts[i] = parcel.origins[i] end
end
-- The first write is one that a full Redis refuses, whatever is pending already (see doc.go).
redis.call('HSET', lanes, lane_ids[p], pace.lanes[p])
local before = failed_before(failed, items, 1)
local _, twins = add_all(p, items, 1, now, 0, dues, rebounds)
for i = 1, #items do
  for _, later in ipairs(laters[i]) do
    local at, old
    for q = 1, 3 do
      local score = redis.call('ZSCORE', pending[q], items[i])
      if score then at, old = q, tonumber(score) end
    end
    add(p, items[i], later.at, later.rebound, at, old)
    last = math.max(last, later.at)
  end
end
note_failed(failed, items, 1, 0, before)
for i = 1, #items do
  local times = failures(parcel.failed[i], dues[i])
  if times > 0 then note_failed(failed, { items[i] }, 1, times, { before[i] }) end
end
originate(origins, items, 1, twins, nil, texts, true, last - now)
for _, of in pairs(parcel.receipts or {}) do
  for i = 1, #of do redis.call('ZADD', receipts, '0', of[i]) end
end
if parcel.receipts then keep(receipts, last - now) end
for i = 22, #KEYS do -- so that what happens to them is counted here
  redis.call('HSET', KEYS[i], 'adopted', '1')
  keep(KEYS[i], last - now + 60000)
end
local at
for q = 1, p do
  local ready_at = offer(q)
  if ready_at then at = math.min(at or ready_at, ready_at) end
end
if at then redis.call('PUBLISH', 'edgepurge:wake', pace.account) end
return { #items, ms(at or 0) }
