-- take(a request into an account): its receipt learns where its items are counted.
-- Answers 0 if there is no receipt, or if the items are counted as dead already.
-- KEYS receipt
-- ARGV field of the account, field of the dead items, how long until they are due in ms
--#include time
--#include receipts
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HGET', KEYS[1], ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], '1')
keep(KEYS[1], tonumber(ARGV[3]))
return 1
