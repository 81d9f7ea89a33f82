-- remove: delete a task for good if it is in one state that asynq keeps in a sorted set,
-- and in no other.
-- KEYS task, set of that state
-- ARGV id, state
-- the answer is 'removed', 'missing', or the state that it is in
local state = redis.call('HGET', KEYS[1], 'state')
if not state then -- nothing is left of it but its place in the set
  return redis.call('ZREM', KEYS[2], ARGV[1]) == 1 and 'removed' or 'missing'
end
if state ~= ARGV[2] then return state end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[1])
return 'removed'
