-- release(a hold): it ends, and calls that began before have no say any more.
-- KEYS hold, ended
-- ARGV scope
--#include time
local n = redis.call('HDEL', KEYS[1], ARGV[1])
if n == 1 then
  redis.call('HSET', KEYS[2], ARGV[1], ms(now))
  redis.call('PEXPIRE', KEYS[2], 86400000)
end
return n
