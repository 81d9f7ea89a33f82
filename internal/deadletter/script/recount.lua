-- recount: how much is kept, as counted just now.
-- KEYS kept
-- ARGV fields and numbers in turn
redis.call('DEL', KEYS[1])
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
