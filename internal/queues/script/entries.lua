-- asynq's listZSetEntriesCmd with clipped payloads.
-- KEYS sorted set
-- ARGV from, to, prefix of tasks, bytes of a payload
--#include clip
local data, pairs_ = {}, redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')
for i = 1, #pairs_, 2 do
  local task = redis.call('HMGET', ARGV[3] .. pairs_[i], 'msg', 'result')
  data[#data + 1] = clip(task[1], tonumber(ARGV[4]))
  data[#data + 1] = pairs_[i + 1]
  data[#data + 1] = task[2]
end
return data
