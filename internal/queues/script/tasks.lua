-- tasks: the data of some tasks with clipped payloads, and how long each is as it
-- is. It ends before the next one when it has read enough, so that large ones do
-- not keep Redis busy for long.
-- KEYS tasks
-- ARGV bytes of a payload, bytes that are enough
--#include clip
local answer, read = {}, 0
for i = 1, #KEYS do
  local msg = redis.call('HGET', KEYS[i], 'msg')
  if msg then
    answer[i] = { clip(msg, tonumber(ARGV[1])), #msg }
    read = read + #msg
  else
    answer[i] = { '', -1 }
  end
  if read >= tonumber(ARGV[2]) then break end
end
return answer
