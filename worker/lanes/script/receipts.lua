-- The receipts that wait for an item. They stand in sorted sets whose scores are all
-- 0, so that the members are in the order of their bytes: the item, when its request
-- was due (ms, 15 digits) and the receipt's id, a line each. No item holds a line end.

-- KEPT is how long receipts are kept without a change (internal/receipt: Kept).
local KEPT = 86400000

local function keep(key, longer)
  if redis.call('PTTL', key) < KEPT + longer then redis.call('PEXPIRE', key, ms(KEPT + longer)) end
end

local function digits(at) return string.format('%015.0f', at) end

-- track notes that a receipt waits for a call that holds the item and starts at due or later.
local function track(key, items, from, due, receipt)
  local rest, members = '\n' .. digits(due) .. '\n' .. receipt, {}
  for i = from, #items do
    members[#members + 1] = '0'
    members[#members + 1] = items[i] .. rest
  end
  redis.call('ZADD', key, unpack(members))
end

-- What move takes of an item: what was due by a moment, or all of it.
local function due_by(at) return '\n' .. digits(at + 1) end
local ALL = '\11'

-- move moves the receipts of an item from one set to another, and answers whether there were any.
local function move(from, to, item, till)
  local moved = false
  while true do
    local found = redis.call('ZRANGE', from, '[' .. item .. '\n', '(' .. item .. till, 'BYLEX', 'LIMIT', 0, 1000)
    if #found == 0 then return moved end
    local members = {}
    for i = 1, #found do
      members[2 * i - 1] = '0'
      members[2 * i] = found[i]
    end
    redis.call('ZADD', to, unpack(members))
    redis.call('ZREM', from, unpack(found))
    moved = true
  end
end

-- move_all moves the receipts of many items and keeps them where they are now.
local function move_all(from, to, items, first, till)
  if redis.call('EXISTS', from) == 0 then return nil end
  local moved = nil
  for i = first, #items do
    if move(from, to, items[i], till) then moved = true end
  end
  if moved then
    keep(from, 0)
    keep(to, 0)
  end
  return moved
end
