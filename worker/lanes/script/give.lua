-- give(a parcel that another account adopted): its items leave this one, but for those
-- that have changed since the parcel was made.
-- KEYS lanes, ready, pending, again, receipts, origins, failed, turn, order, ahead, served, spread, hold
-- ARGV pace, project, priority, lane id, parcel
local lanes, receipts, origins, failed = KEYS[1], KEYS[5], KEYS[6], KEYS[7]
local order, ahead, served, spread, hold = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local pace, project, p = cjson.decode(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local ready, pending, again, turn, lane_ids = {}, {}, {}, {}, {}
ready[p], pending[p], again[p], turn[p], lane_ids[p] = KEYS[2], KEYS[3], KEYS[4], KEYS[8], ARGV[4]
local parcel = cjson.decode(ARGV[5])
--#include time
--#include pending
--#include receipts
redis.call('ZREM', pending[p], '') -- runs on a full Redis, see doc.go

local function is_same(item, i)
  local due = redis.call('ZSCORE', pending[p], item)
  if not due or ms(tonumber(due)) ~= parcel.dues[i] then return false end
  if (redis.call('HGET', again[p], item) or '') ~= parcel.again[i] then return false end
  local copied = parcel.receipts and parcel.receipts[tostring(i)] or {}
  local here = redis.call('ZRANGE', receipts, '[' .. item .. '\n', '(' .. item .. ALL, 'BYLEX')
  for n = 1, math.max(#here, #copied) do
    if here[n] ~= copied[n] then return false end
  end
  return true
end

local gone = 0
for i = 1, #parcel.items do
  local item = parcel.items[i]
  if is_same(item, i) then
    redis.call('ZREM', pending[p], item)
    redis.call('HDEL', again[p], item)
    redis.call('HDEL', origins, item)
    redis.call('HDEL', failed, item)
    local copied = parcel.receipts and parcel.receipts[tostring(i)] or {}
    for from = 1, #copied, 1000 do redis.call('ZREM', receipts, unpack(copied, from, math.min(from + 999, #copied))) end
    gone = gone + 1
  end
end
if redis.call('ZCARD', pending[p]) == 0 then
  place(p, nil)
  take_turn(p)
end
return gone
