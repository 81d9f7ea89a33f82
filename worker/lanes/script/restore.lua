-- restore(the items of a batch): they go back to their lane as if they had not
-- been claimed, and the batch is fenced off, so that no attempt of it runs any more.
-- KEYS lanes, ready x3, pending x3, again x3, spread, hold, inflight, batches, superseded, receipts, carried, origins, failed, turn x3, order, ahead, served
-- ARGV pace, project, priority, lane id x3, batch id, only if its lease has ended, due,
--      when its claim noted the rebounds, how often the items failed, origins and terms of
--      the batch, item...
local lanes, spread, hold = KEYS[1], KEYS[11], KEYS[12]
local ready = { KEYS[2], KEYS[3], KEYS[4] }
local pending = { KEYS[5], KEYS[6], KEYS[7] }
local again = { KEYS[8], KEYS[9], KEYS[10] }
local turn = { KEYS[20], KEYS[21], KEYS[22] }
local order, ahead, served = KEYS[23], KEYS[24], KEYS[25]
local inflight, batches, superseded, receipts, carried, origins = KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17], KEYS[18]
local failed = KEYS[19]
local pace, project, p = cjson.decode(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local lane_ids = { ARGV[4], ARGV[5], ARGV[6] }
local batch, due, noted, brought = ARGV[7], tonumber(ARGV[9]), tonumber(ARGV[10]), cjson.decode(ARGV[12])
local FIRST = 13 -- the place of the first item
--#include time
--#include pending
--#include terms
--#include receipts
--#include origins

redis.call('ZREM', inflight, '') -- runs on a full Redis, see doc.go
if tonumber(redis.call('ZSCORE', superseded, batch) or 0) > now then return { 0, '0' } end
if ARGV[8] == '1' then
  local lease = redis.call('ZSCORE', inflight, batch)
  if not lease or tonumber(lease) > now then return { 0, '0' } end
end
redis.call('ZREM', inflight, batch)
redis.call('HDEL', batches, batch)
redis.call('ZREMRANGEBYSCORE', superseded, '-inf', ms(now))
redis.call('ZADD', superseded, ms(now + 600000), batch)
local before = failed_before(failed, ARGV, FIRST)
local dues, rebounds, texts = nil, nil, nil
if brought.after or brought.rebounds then
  dues, rebounds = {}, {}
  for i = FIRST, #ARGV do
    local n = i - FIRST + 1
    dues[i], rebounds[i] = math.min(now, due + nth(brought.after, n)), nth(brought.rebounds, n)
    if rebounds[i] > 0 then take_back(ARGV[i], noted + rebounds[i]) end
  end
end
local _, twins = add_all(p, ARGV, FIRST, math.min(now, due), 0, dues, rebounds)
note_failed(failed, ARGV, FIRST, tonumber(ARGV[11]), before)
move_all(carried, receipts, ARGV, FIRST, ALL)
if brought.origins then
  texts = {}
  for i = FIRST, #ARGV do
    local text = brought.origins[brought.origin_of[i - FIRST + 1]]
    if text and rebounds and rebounds[i] > 0 then
      local had, left = redis.call('HGET', origins, ARGV[i]) or '', nil
      text, left = take_back_lines(text, had, noted, rebounds[i], dues[i])
      if left ~= had and left == '' then redis.call('HDEL', origins, ARGV[i]) end
      if left ~= '' then
        redis.call('HSET', origins, ARGV[i], left)
        twins[ARGV[i]] = true
      end
    end
    texts[i] = text
  end
  originate(origins, ARGV, FIRST, twins, nil, texts, true, 0)
end
local at
for q = 1, p do
  local ready_at = offer(q, false, true)
  if ready_at then at = math.min(at or ready_at, ready_at) end
end
if at then redis.call('PUBLISH', 'edgepurge:wake', pace.account) end
return { 1, ms(at or 0) }
