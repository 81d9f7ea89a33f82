-- A limit that was learned, as it stands now: one that Vercel told holds until it is
-- forgotten; one that was inferred is raised by a step each window.
local function learned_limit(limit, till, from, step, per)
  limit, till, from = tonumber(limit or 0), tonumber(till or 0), tonumber(from or 0)
  if limit == 0 or till <= now then return 0 end
  if from == 0 or from > now then return limit end
  return limit + tonumber(step) * (math.floor((now - from) / per) + 1)
end
