-- asynq's listMessagesCmd with clipped payloads.
-- KEYS list
-- ARGV from, to, prefix of tasks, bytes of a payload
--#include clip
local data = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])) do
  local task = redis.call('HMGET', ARGV[3] .. id, 'msg', 'result')
  data[#data + 1] = clip(task[1], tonumber(ARGV[4]))
  data[#data + 1] = task[2]
end
return data
