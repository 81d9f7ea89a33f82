-- archive: make a task that waits a dead letter, if there is room for one.
-- KEYS task, pending, scheduled, retry, archived
-- ARGV id, how many the archive may hold
-- the answer is 'done', 'full', 'missing', or the state that it is in
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'missing' end
local sets = { scheduled = KEYS[3], retry = KEYS[4] }
if state ~= 'pending' and not sets[state] then return state end
if redis.call('ZCARD', KEYS[5]) >= tonumber(ARGV[2]) then return 'full' end
local found
if state == 'pending' then found = redis.call('LREM', KEYS[2], 1, ARGV[1])
else found = redis.call('ZREM', sets[state], ARGV[1]) end
if found == 0 then return 'missing' end
redis.call('ZADD', KEYS[5], redis.call('TIME')[1], ARGV[1])
redis.call('HSET', KEYS[1], 'state', 'archived')
return 'done'
