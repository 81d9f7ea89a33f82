-- open(the receipt of a tracked request) unless it is open already: the request
-- is sent again, or this script is, since its reply was lost.
-- KEYS receipt
-- ARGV how long to keep it in ms, field, value...
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
