-- reoffer(a project whose hold ended, and its lanes): they may be looked at now. One that
-- was emptied meanwhile does not come back, and what may go already keeps its place.
-- KEYS turn x3, ahead
-- ARGV project, lane id...
--#include time
redis.call('ZREM', KEYS[1], '') -- runs on a full Redis, see doc.go
for p = 1, 3 do redis.call('ZADD', KEYS[p], 'XX', 'LT', ms(now), ARGV[1]) end
for i = 2, #ARGV do redis.call('ZADD', KEYS[4], 'XX', 'LT', ms(now), ARGV[i]) end
return 1
