-- pause(the account until a moment), and what an answer taught about its limit.
-- KEYS state, budget
-- ARGV wait in ms from now or 0, limit or 0, how long a limit that was told is believed,
--      why: "ahead" (pause only if this many calls a window of that many ms are not
--      spent yet), "429" (find the limit if it was not told) or "", calls, window in ms,
--      batch id and attempt of the call that taught it, or ""
--#include time
--#include limit
local state, budget = KEYS[1], KEYS[2]
redis.call('HDEL', state, '') -- runs on a full Redis, see doc.go
local limit, believed, why, calls, per = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
if why == 'ahead' and calls > 0 and redis.call('ZCOUNT', budget, ms(now - per), '+inf') >= calls then return '0' end

local old = redis.call('HMGET', state, 'paused_until', 'limit', 'limit_until', 'limit_from', 'limit_step', 'limit_hold', 'limit_by')
local was_paused = tonumber(old[1] or 0)

-- succeeded counts the calls of the window that the API let in. `finish` marks the others.
local function succeeded()
  local n, from = 0, 0
  repeat
    local chunk = redis.call('ZRANGEBYSCORE', budget, ms(now - per), ms(now), 'LIMIT', from, 1000)
    for i = 1, #chunk do if not string.find(chunk[i], '!', 1, true) then n = n + 1 end end
    from = from + 1000
  until #chunk < 1000
  return n
end

-- infer takes for the limit what succeeded in the window before a 429 that told none.
-- A window without a success teaches nothing, and no 429 costs more than half: a pause
-- or little demand may have left the window almost empty. A window that a pause cut
-- short costs a fifth at most.
local function infer()
  if ARGV[7] ~= '' and old[7] == ARGV[7] then return end -- sent again after a lost reply
  local fitted = succeeded()
  local limit = learned_limit(old[2], old[3], old[4], old[5], per)
  if limit == 0 or (calls > 0 and limit > calls) then limit = calls end
  if fitted == 0 or (limit > 0 and fitted > limit) then return end
  local least = math.ceil(limit / 2)
  if was_paused + per > now then least = limit - math.max(1, math.floor(limit / 5)) end
  -- More is tried by steps, after a window. Where that meets a 429 it falls back to where
  -- it began, and the next try waits for two windows, then four … ten.
  local hold, known = 1, old[4] and now < tonumber(old[3]) + 10 * per
  if known then hold = tonumber(old[6]) end
  if known and now >= tonumber(old[4]) then
    least = math.min(least, tonumber(old[2]))
    hold = math.min(10, 2 * hold)
  end
  local to = math.max(1, fitted, least)
  local full = calls > 0 and calls or 2 * to
  local step = math.max(1, math.ceil(full / 4))
  local from = math.max(now + tonumber(ARGV[1]), was_paused) + hold * per
  redis.call('HSET', state, 'limit', ms(to), 'limit_until', ms(from + per * math.max(1, math.ceil((full - to) / step))),
    'limit_from', ms(from), 'limit_step', ms(step), 'limit_hold', ms(hold), 'limit_by', ARGV[7])
end

if limit > 0 then
  redis.call('HSET', state, 'limit', ms(limit), 'limit_until', ms(now + believed))
  redis.call('HDEL', state, 'limit_from', 'limit_step', 'limit_hold')
elseif why == '429' then infer() end
local paused = 0
if tonumber(ARGV[1]) > 0 then
  paused = math.max(now + tonumber(ARGV[1]), was_paused)
  redis.call('HSET', state, 'paused_until', ms(paused))
end
return ms(paused)
