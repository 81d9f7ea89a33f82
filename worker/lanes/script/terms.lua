-- What the items of a batch waited with, so that it can be taken apart again as if it
-- had never been claimed; and how often each item has failed so far.
-- Needs: pending, again and the functions of part pending.

-- compact leaves a list of numbers, one for each item, out if all are 0 and writes
-- it as one number if all are alike.
local function compact(list)
  local first = list[1]
  for i = 2, #list do
    if list[i] ~= first then return list end
  end
  if first == 0 then return nil end
  return { first }
end

-- nth reads a list that compact wrote.
local function nth(list, i)
  if not list then return 0 end
  return list[#list == 1 and 1 or i] or 0
end

-- `failed` is a hash of a lane family: item -> "count due". The count is that of the item
-- which is pending with this very due time: an entry that is left of an earlier purge
-- never counts against a newer one. Items past the bound begin at 0 again.
local MOST_FAILED, FAILED_KEPT = 5000, 86400000

-- failures reads an entry of `failed` for an item that is pending since `due`.
local function failures(entry, due)
  local count, at = string.match(entry or '', '^(%d+) (%d+)$')
  return at and tonumber(at) == due and tonumber(count) or 0
end

-- dues_of answers when items are due that are pending at any priority, each by its place.
local function dues_of(items, start, stop)
  local due = {}
  for q = 1, 3 do
    local scores = redis.call('ZMSCORE', pending[q], unpack(items, start, stop))
    for i = 1, #scores do due[start + i - 1] = scores[i] and tonumber(scores[i]) or due[start + i - 1] end
  end
  return due
end

-- failed_before answers how often those of the items failed that are pending already.
local function failed_before(key, items, from)
  local counts = {}
  if redis.call('EXISTS', key) == 0 then return counts end
  for start = from, #items, 1000 do
    local stop = math.min(start + 999, #items)
    local entries, due = redis.call('HMGET', key, unpack(items, start, stop)), dues_of(items, start, stop)
    for i = start, stop do counts[i] = failures(entries[i - start + 1], due[i]) end
  end
  return counts
end

-- note_failed writes down that the items, pending now, failed so often, or as often as
-- their twins had before.
local function note_failed(key, items, from, count, before)
  if count == 0 and not next(before) then return end
  local room = MOST_FAILED - redis.call('HLEN', key)
  for start = from, #items, 1000 do
    local stop = math.min(start + 999, #items)
    local had, due, fields = redis.call('HMGET', key, unpack(items, start, stop)), dues_of(items, start, stop), {}
    for i = start, stop do
      local times, known = math.max(count, before[i] or 0), had[i - start + 1]
      if times > 0 then
        if not known then room = room - 1 end
        if known or room >= 0 then
          fields[#fields + 1] = items[i]
          fields[#fields + 1] = ms(times) .. ' ' .. ms(due[i])
        end
      end
    end
    if #fields > 0 then redis.call('HSET', key, unpack(fields)) end
  end
  if redis.call('EXISTS', key) == 1 then redis.call('PEXPIRE', key, ms(FAILED_KEPT)) end
end

-- take_back takes away the second purge that a claim noted for `at`: the item goes back
-- with its rebound, and that will count from the next claim, later than this one. A
-- purge that has a rebound of its own by now stays.
local function take_back(item, at)
  for q = 1, 3 do
    local score = redis.call('ZSCORE', pending[q], item)
    if score then
      local due = tonumber(score)
      local mine, later = read_again(redis.call('HGET', again[q], item))
      if due == at and mine == 0 then
        table.sort(later, by_time)
        local following = table.remove(later, 1)
        if following then redis.call('ZADD', pending[q], ms(following.at), item)
        else redis.call('ZREM', pending[q], item) end
        write_again(again[q], item, following and following.rebound or 0, later)
        return
      end
      for i = 1, #later do
        if later[i].at == at and later[i].rebound == 0 then
          table.remove(later, i)
          write_again(again[q], item, mine, later)
          return
        end
      end
      return
    end
  end
end
