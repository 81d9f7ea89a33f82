-- peek(): which lanes may be served now, when the next one may, whether there is any hold,
-- the one of the account, whether anything waits at all, and whether any call is in
-- flight. Of each project it looks at the first lanes in line.
-- KEYS ready x3, turn x3, order, ahead, served, hold, inflight
-- ARGV most projects a priority, most lanes a project
local order, ahead, served = KEYS[7], KEYS[8], KEYS[9]
--#include time
local lanes, next_at, seen, waits = {}, math.huge, {}, 0

local function add(id, since)
  if seen[id] then return end
  seen[id] = true
  local last = redis.call('ZSCORE', served, string.match(id, '^[^:]+'))
  lanes[#lanes + 1] = { id, ms(since), ms(last and tonumber(last) or 0) }
end

-- look_at reads the head of a project's line. A worker of an older version does not know
-- of the lines: what it left behind there goes.
local function look_at(project, p)
  local turn = KEYS[3 + p]
  local line = project .. ':' .. p
  local found = redis.call('ZRANGE', order, '[' .. line .. ':', '(' .. line .. ';', 'BYLEX', 'LIMIT', 0, ARGV[2])
  if #found == 0 then redis.call('ZREM', turn, project) end
  for i = 1, #found do
    local since = tonumber(string.sub(found[i], #line + 2, #line + 16))
    local id = project .. string.sub(found[i], #line + 17)
    if tonumber(redis.call('ZSCORE', KEYS[p], id) or nil) ~= since then
      redis.call('ZREM', order, found[i])
      next_at = now
    elseif since > now then
      next_at = math.min(next_at, since)
      if i == 1 then redis.pcall('ZADD', turn, ms(since), project) end -- a full Redis may refuse it
      return
    else add(id, since) end
  end
end

local function first_after(key)
  local later = redis.call('ZRANGEBYSCORE', key, '(' .. ms(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if later[2] then next_at = math.min(next_at, tonumber(later[2])) end
end

for p = 1, 3 do
  local projects = redis.call('ZRANGEBYSCORE', KEYS[3 + p], '-inf', ms(now), 'LIMIT', 0, ARGV[1])
  for i = 1, #projects do look_at(projects[i], p) end
  first_after(KEYS[3 + p])
  waits = waits + redis.call('ZCARD', KEYS[p])
end
-- And the lanes that may go although their project's spread keeps it back, but not those
-- of a project that is held.
local any_hold, held = redis.call('EXISTS', KEYS[10]), {}
local function is_held(project)
  if any_hold == 1 and held[project] == nil then
    held[project] = redis.call('HGET', KEYS[10], 'project:' .. project) ~= false
  end
  return held[project]
end
local passing = redis.call('ZRANGEBYSCORE', ahead, '-inf', ms(now), 'LIMIT', 0, ARGV[1])
for i = 1, #passing do
  local since = redis.call('ZSCORE', string.match(passing[i], ':bulk$') and KEYS[3] or KEYS[2], passing[i])
  if since and is_held(string.match(passing[i], '^[^:]+')) then -- its turn comes with the probe
  elseif since and tonumber(since) <= now then add(passing[i], tonumber(since))
  elseif since then next_at = math.min(next_at, tonumber(since))
  else redis.call('ZREM', ahead, passing[i]) end
end
first_after(ahead)
return { ms(now), ms(next_at < math.huge and next_at or 0), lanes, any_hold,
  redis.call('HGET', KEYS[10], 'account') or '', waits, redis.call('EXISTS', KEYS[11]) }
