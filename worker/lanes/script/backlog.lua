-- backlog(a lane): how many of its items are due, and since when the oldest is.
-- KEYS pending
--#include time
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return { ms(now), redis.call('ZCOUNT', KEYS[1], '-inf', ms(now)), ms(head[2] and tonumber(head[2]) or 0) }
