"""``bit`` for scripts, as Redis has it: operations on 32 bits, in Lua itself (5.1 has none).

Numbers are rounded and cut to 32 bits, what is infinite or NaN is 0, and results have a sign. Beyond 2^51
Redis' own results have no meaning. In Lua, so that it runs under the bounds of the script that calls it.
"""

from __future__ import annotations

from typing import Final

BIT: Final = r"""
local floor, format, tonumber, select, type, error = math.floor, string.format, tonumber, select, type, error
local WORD = 2 ^ 32
local ROUND = 2 ^ 52 + 2 ^ 51

-- From 0 on.
local function unsigned(name, place, ...)
  local given = select(place, ...)
  local value = type(given) == "number" and given or type(given) == "string" and tonumber(given)
  if not value then
    local got = select("#", ...) < place and "no value" or type(given)
    error("bad argument #" .. place .. " to '" .. name .. "' (number expected, got " .. got .. ")", 3)
  end
  value = (value + ROUND) - ROUND
  -- What is infinite, or no number at all, has no bits.
  if value - value ~= 0 then return 0 end
  return value % WORD
end

local function signed(value)
  value = value % WORD
  return value < WORD / 2 and value or value - WORD
end

-- Of each two half bytes.
local function halves(of_bits)
  local found = {}
  for a = 0, 15 do
    for b = 0, 15 do
      local sum, weight, x, y = 0, 1, a, b
      for _ = 1, 4 do
        if of_bits(x % 2, y % 2) then sum = sum + weight end
        x, y, weight = floor(x / 2), floor(y / 2), weight * 2
      end
      found[a * 16 + b] = sum
    end
  end
  return found
end

local function combine(name, table)
  return function(...)
    local result = unsigned(name, 1, ...)
    for place = select("#", ...), 2, -1 do
      local other, sum, weight = unsigned(name, place, ...), 0, 1
      for _ = 1, 8 do
        local a, b = result % 16, other % 16
        sum = sum + table[a * 16 + b] * weight
        result, other, weight = (result - a) / 16, (other - b) / 16, weight * 16
      end
      result = sum
    end
    return signed(result)
  end
end

local function shift(name, of)
  return function(...)
    local value = unsigned(name, 1, ...)
    return signed(of(value, unsigned(name, 2, ...) % 32))
  end
end

-- Without what is shifted out on the left, which a double could not hold.
local function left(value, count) return value % 2 ^ (32 - count) * 2 ^ count end
local function right(value, count) return floor(value / 2 ^ count) end
local function rotate(value, count) return left(value, count) + right(value, 32 - count) end

local function bswap(...)
  local value, swapped = unsigned("bswap", 1, ...), 0
  for _ = 1, 4 do
    swapped = swapped * 256 + value % 256
    value = floor(value / 256)
  end
  return signed(swapped)
end

local function tohex(...)
  local value, count = unsigned("tohex", 1, ...), 8
  if select("#", ...) > 1 then count = signed(unsigned("tohex", 2, ...)) end
  local upper = count < 0
  if upper then count = -count end
  if count > 8 then count = 8 end
  if count == 0 then return "" end
  return format("%0" .. count .. (upper and "X" or "x"), value % 16 ^ count)
end

return {
  tobit = function(...) return signed(unsigned("tobit", 1, ...)) end,
  bnot = function(...) return signed(WORD - 1 - unsigned("bnot", 1, ...)) end,
  band = combine("band", halves(function(a, b) return a + b == 2 end)),
  bor = combine("bor", halves(function(a, b) return a + b > 0 end)),
  bxor = combine("bxor", halves(function(a, b) return a ~= b end)),
  lshift = shift("lshift", left),
  rshift = shift("rshift", right),
  arshift = shift("arshift", function(value, count) return floor(signed(value) / 2 ^ count) end),
  rol = shift("rol", rotate),
  ror = shift("ror", function(value, count) return rotate(value, (32 - count) % 32) end),
  bswap = bswap,
  tohex = tohex,
}
"""
