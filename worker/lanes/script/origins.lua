-- The requests that wait for an item, for people and traces only: nothing is decided by
-- them. They stand in a hash: item -> a line each, "id traceparent source", the newest
-- last; what is not known at the end is left out, before it it is "-". A request whose
-- call is not due yet has "@due " before it, and one that asks for a rebound n ms after
-- its call "@due+n ".

-- A hash of a family holds so many items at most, and an item so many requests. Items
-- beyond that have none, so that a backlog costs no more for them.
local MOST_FIELDS, MOST_LINES = 5000, 4
-- A batch carries so many bytes of them at most: they lie in its record and its tasks.
local MOST_CARRIED = 16384
local ORIGINS_KEPT = 86400000

-- origin_line writes an origin of a request that is due then.
local function origin_line(origin, due, rebound)
  if rebound > 0 then return '@' .. ms(due) .. '+' .. ms(rebound) .. ' ' .. origin end
  if due > now then return '@' .. ms(due) .. ' ' .. origin end
  return origin
end

-- joined adds the lines of newer to older, each once, and keeps the newest.
local function joined(older, newer)
  for line in string.gmatch(newer, '[^\n]+') do
    if not string.find('\n' .. older .. '\n', '\n' .. line .. '\n', 1, true) then
      local _, ends = string.gsub(older, '\n', '')
      if ends >= MOST_LINES - 1 then older = string.sub(older, string.find(older, '\n', 1, true) + 1) end
      older = older .. '\n' .. line
    end
  end
  return older
end

-- originate notes origins of items: one for all, or those of each by its place in
-- texts. Items that are pending already (twins) keep theirs beside them; what others
-- have is left of a worker that knows no origins. is_older says that they are older
-- than the ones that are noted, wait for how long none is due.
local function originate(key, items, from, twins, one, texts, is_older, wait)
  local room, any_twins = MOST_FIELDS - redis.call('HLEN', key), next(twins)
  if room <= 0 and not any_twins then return end
  local joint = {} -- the items of one request have often been asked for together before
  for start = from, #items, 1000 do
    local stop = math.min(start + 999, #items)
    local had = any_twins and redis.call('HMGET', key, unpack(items, start, stop))
    local fields, n = {}, 0
    for i = start, stop do
      local text, old = one or texts[i], had and twins[items[i]] and had[i - start + 1]
      if text and old then
        local both = joint[old] and joint[old][text]
        if not both then
          both = is_older and joined(text, old) or joined(old, text)
          joint[old] = joint[old] or {}
          joint[old][text] = both
        end
        text = both ~= old and both
      elseif text then
        room = room - 1
        text = room >= 0 and text
      end
      if text then
        fields[n + 1], fields[n + 2] = items[i], text
        n = n + 2
      end
    end
    if n > 0 then redis.call('HSET', key, unpack(fields)) end
  end
  -- A minute of slack spares busy lanes a command.
  if redis.call('PTTL', key) < ORIGINS_KEPT + wait then redis.call('PEXPIRE', key, ms(ORIGINS_KEPT + wait + 60000)) end
end

-- due_lines parts the lines of an item into those of requests that a call covers which
-- starts now, and those that wait for a later one. is_collapsed: no call starts, the
-- item gives way to another; a rebound is that one's, so its line goes along as it is.
local function due_lines(text, is_collapsed)
  local due, later = {}, {}
  for line in string.gmatch(text, '[^\n]+') do
    local at, rebound, origin = string.match(line, '^@(%d+)%+?(%d*) (.*)$')
    if at and tonumber(at) > now then
      later[#later + 1] = line
    elseif is_collapsed then
      due[#due + 1] = line
    else
      due[#due + 1] = origin or line
      if at and rebound ~= '' then later[#later + 1] = origin_line(origin, now + tonumber(rebound), 0) end
    end
  end
  return table.concat(due, '\n'), table.concat(later, '\n')
end

-- take_origins takes those of a batch out of the hash. It answers the different texts,
-- and for each item the place of its own, 0 if it has none; no places if all items have
-- the first text, nothing if none has any.
local function take_origins(key, items, is_collapsed)
  local texts, places, place_of, later_of, bytes, is_mixed = {}, {}, {}, {}, 0, false
  for start = 1, #items, 1000 do
    local stop = math.min(start + 999, #items)
    local found = redis.call('HMGET', key, unpack(items, start, stop))
    local any, left = false, {}
    for i = start, stop do
      local text, place = found[i - start + 1], 0
      if text then
        any, place = true, place_of[text]
        if not place then
          local due, later = text, ''
          if string.find(text, '@', 1, true) then due, later = due_lines(text, is_collapsed) end
          place = 0
          if due ~= '' and bytes + #due <= MOST_CARRIED then
            place, bytes = #texts + 1, bytes + #due
            texts[place] = due
          end
          place_of[text], later_of[text] = place, later ~= '' and later
        end
        if later_of[text] then
          left[#left + 1] = items[i]
          left[#left + 1] = later_of[text]
        end
      end
      places[i] = place
      if place ~= 1 then is_mixed = true end
    end
    if any then redis.call('HDEL', key, unpack(items, start, stop)) end
    if #left > 0 then redis.call('HSET', key, unpack(left)) end
  end
  if #texts == 0 then return nil end
  return texts, is_mixed and places or nil
end

-- take_back_lines gives the lines of an item that goes back the rebound which its claim
-- had noted among those that the hash has. It answers both, without what was taken.
local function take_back_lines(text, had, claimed, rebound, due)
  local rebound_of, left, lines = {}, {}, {}
  for line in string.gmatch(had, '[^\n]+') do
    local at, origin = string.match(line, '^@(%d+) (.*)$')
    local after = at and tonumber(at) - claimed or 0 -- longer than the item's own: of another claim
    if after > 0 and after <= rebound and string.find('\n' .. text .. '\n', '\n' .. origin .. '\n', 1, true) then
      rebound_of[origin] = after
    else
      left[#left + 1] = line
    end
  end
  for line in string.gmatch(text, '[^\n]+') do
    lines[#lines + 1] = origin_line(line, due, rebound_of[line] or 0)
  end
  return table.concat(lines, '\n'), table.concat(left, '\n')
end
