-- hold(a scope): the first call that fails for a cause of its account or project
-- creates the hold; a failed probe doubles the time to the next one; a call that was
-- under way when the hold began, or when the last one ended, changes nothing.
-- A project that is forbidden may mean that the whole account is: that is so when
-- another project was refused likewise and no call has succeeded since.
-- KEYS hold, ended
-- ARGV scope, reason, detail, probe, first step, longest step, batch id and attempt,
--      project, when the call began
--#include time
redis.call('HDEL', KEYS[1], '') -- runs on a full Redis, see doc.go
local hold, ended, call = KEYS[1], KEYS[2], ARGV[7]
local scope, reason, detail, probes, began = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', tonumber(ARGV[9])
local doubtful = scope ~= 'account' and reason == 'forbidden'

local past = redis.call('HMGET', ended, scope, 'account', 'success')
for i = 1, 2 do
  if past[i] and tonumber(past[i]) >= began then return { 'late', '', scope } end
end
local text, account = redis.call('HGET', hold, scope), redis.call('HGET', hold, 'account')

-- write creates a hold, or extends the one that is there.
local function write(where, before, why)
  local h = before and cjson.decode(before) or { since = now }
  h.step = before and math.min(h.step * 2, tonumber(ARGV[6])) or tonumber(ARGV[5])
  h.reason, h.detail, h.next, h.at = reason, why, now + h.step, now
  h.by, h.how, h.project = call, before and 'extended' or 'created', ARGV[8]
  local new = cjson.encode(h)
  redis.call('HSET', hold, where, new)
  return { h.how, new, where }
end

-- decide answers what becomes of one hold.
local function decide(where, before)
  if before then
    local h = cjson.decode(before)
    if h.by == call then return { h.how, before, where } end -- sent again after a lost reply
    if not probes then return { 'held', before, where } end
  end
  return write(where, before, detail)
end

-- refused_too names another project that was refused likewise since the last success.
local function refused_too()
  local all = redis.call('HGETALL', hold)
  for i = 1, #all, 2 do
    local other = string.match(all[i], '^project:(.*)$')
    if other and all[i] ~= scope then
      local h = cjson.decode(all[i + 1])
      if h.reason == 'forbidden' and (h.at or h.since) > tonumber(past[3] or 0) then return other end
    end
  end
end

-- An account that is held for its token needs no second hold. One that the project
-- had before stands for itself: what it probes says nothing new of the account.
if doubtful and account and (not text or cjson.decode(account).by == call) then
  local why = cjson.decode(account).reason
  if why == 'forbidden' or why == 'unauthorized' then return decide('account', account) end
end
local answer = decide(scope, text)
if doubtful and not account and not text then
  local other = refused_too()
  if other then return write('account', nil, detail .. ' (project ' .. other .. ' was refused too)') end
end
return answer
