-- keep: may a delivery be kept? If so it is counted at once, so that many gateways
-- together keep to the bounds; lists count again what is really there.
-- KEYS kept, archived, task
-- ARGV field of letters, field of bytes, bytes, most letters, most bytes, most letters of all,
--      1 to count it: else the question is only whether it could be kept
-- the answer is 'counted', 'kept' (it is there already), 'full' or 'source_full'
if redis.call('EXISTS', KEYS[3]) == 1 then return 'kept' end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then return 'full' end
local letters = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
local bytes = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or '0')
if letters >= tonumber(ARGV[4]) or bytes + ARGV[3] > tonumber(ARGV[5]) then return 'source_full' end
if ARGV[7] ~= '1' then return 'counted' end
-- HSET, not HINCRBY: users of Redis that were set up for an older gateway lack that right
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', letters + 1), ARGV[2], string.format('%d', bytes + ARGV[3]))
return 'counted'
