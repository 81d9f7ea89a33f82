-- Every script takes the time from Redis, so that no worker's clock matters.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- ms writes a time or duration in whole milliseconds; Lua's own formatting of
-- large numbers differs between servers, and so does that of scores (1.8e+12).
local function ms(n) return string.format('%.0f', n) end
