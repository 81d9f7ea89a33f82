-- bury(a request): it becomes a dead letter before any account takes it.
-- KEYS receipt
-- ARGV field of the dead items, how many, or 0: all that the receipt is about
--#include time
--#include receipts
redis.call('HDEL', KEYS[1], '') -- runs on a full Redis, see doc.go
local total = redis.call('HGET', KEYS[1], 'total')
if not total then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] == '0' and total or ARGV[2], 'changed', ms(now))
keep(KEYS[1], 0)
return 1
