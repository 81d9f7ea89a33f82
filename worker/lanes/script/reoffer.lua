-- reoffer(lanes of a project whose hold ended): they may be served now. One that was
-- emptied meanwhile does not come back.
-- KEYS ready x3
-- ARGV priority, lane id, ...
--#include time
redis.call('ZREM', KEYS[1], '') -- runs on a full Redis, see doc.go
for i = 1, #ARGV, 2 do
  redis.call('ZADD', KEYS[tonumber(ARGV[i])], 'XX', ms(now), ARGV[i + 1])
end
return 1
