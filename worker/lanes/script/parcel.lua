-- parcel(the first items of a lane): all that is kept of them, to be copied into another
-- account. It changes nothing.
-- KEYS pending, again, receipts, origins, failed
-- ARGV most items
local pending, again, receipts, origins, failed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
--#include time
--#include receipts
local found = redis.call('ZRANGE', pending, 0, tonumber(ARGV[1]) - 1, 'WITHSCORES')
if #found == 0 then return '' end
local items, dues, members = {}, {}, nil
for i = 1, #found, 2 do
  items[#items + 1] = found[i]
  dues[#dues + 1] = ms(tonumber(found[i + 1]))
end
local function texts(key)
  local all = redis.call('HMGET', key, unpack(items))
  for i = 1, #items do all[i] = all[i] or '' end
  return all
end
if redis.call('EXISTS', receipts) == 1 then
  for i = 1, #items do
    local of = redis.call('ZRANGE', receipts, '[' .. items[i] .. '\n', '(' .. items[i] .. ALL, 'BYLEX')
    if #of > 0 then
      members = members or {}
      members[tostring(i)] = of
    end
  end
end
return cjson.encode({
  items = items, dues = dues, again = texts(again), origins = texts(origins), failed = texts(failed), receipts = members,
})
