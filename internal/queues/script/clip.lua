-- clip(msg, most): asynq's protobuf of a task with at most so many bytes of its
-- payload, field 2; all else stays as it is. What it cannot read it leaves whole.
local function varint(s, at)
  local value, unit = 0, 1
  while true do
    local byte = string.byte(s, at)
    if not byte then return nil end
    at, value, unit = at + 1, value + byte % 128 * unit, unit * 128
    if byte < 128 then return value, at end
  end
end
local function encoded(n)
  local bytes = {}
  while n >= 128 do
    bytes[#bytes + 1] = string.char(128 + n % 128)
    n = math.floor(n / 128)
  end
  bytes[#bytes + 1] = string.char(n)
  return table.concat(bytes)
end
local function clip(msg, most)
  if not msg or #msg <= most then return msg end
  local parts, at = {}, 1
  while at <= #msg do
    local start, tag, size, from = at, nil, nil, nil
    tag, at = varint(msg, at)
    if not tag then return msg end
    local wire = tag % 8
    if wire == 0 then
      size, at = varint(msg, at)
      if not size then return msg end
    elseif wire == 1 then at = at + 8
    elseif wire == 5 then at = at + 4
    elseif wire == 2 then
      size, from = varint(msg, at)
      if not size then return msg end
      at = from + size
    else return msg end
    if tag == 18 and size > most then
      parts[#parts + 1] = string.char(18) .. encoded(most) .. string.sub(msg, from, from + most - 1)
    else
      parts[#parts + 1] = string.sub(msg, start, at - 1)
    end
  end
  return table.concat(parts)
end
