"""``cjson`` for scripts, as Redis has it: ``encode``, ``decode`` and ``null``, in Lua itself.

In Lua, so that it runs under the same bounds of instructions, time and memory as the script that calls it,
and nothing of Python comes near. Results and errors are those of Redis' (lua-cjson with its usual settings),
held beside a real one by the tests; the place that an error names is missing where a function out of a
variable is called last of all (``return decode(x)``): Lua then knows it no more (``lua_tail_calls.py``).
Settings cannot be changed.
"""

from __future__ import annotations

from typing import Final

CJSON: Final = r"""
local null = ...
local find, sub, byte, char = string.find, string.sub, string.byte, string.char
local format, gsub, concat, floor = string.format, string.gsub, table.concat, math.floor
local type, next, rawget, tonumber, tostring = type, next, rawget, tonumber, tostring
local error, pcall, select, setmetatable, getmetatable = error, pcall, select, setmetatable, getmetatable
local infinity = 1 / 0
-- With its sign, which Redis' has too.
local nan = infinity - infinity
if find(format("%f", nan), "^-") then nan = -nan end

-- How deep values lie in one another, at most; beyond so many places an array may not have more than so many
-- for each of its values.
local MAX_DEPTH, SPARSE_SAFE, SPARSE_RATIO = 1000, 10, 2

-- What goes wrong in here, to be told from what goes wrong otherwise.
local Fault = {}
local function fail(...) error(setmetatable({format(...)}, Fault), 0) end

-- One argument, and errors that name the place of the call.
local function outward(name, f)
  return function(...)
    if select("#", ...) ~= 1 then error("bad argument #1 to '" .. name .. "' (expected 1 argument)", 2) end
    local fine, result = pcall(f, (...))
    if fine then return result end
    if type(result) == "table" and getmetatable(result) == Fault then error(result[1], 2) end
    error(result, 0)
  end
end

local escapes = {['"'] = '\\"', ["\\"] = "\\\\", ["/"] = "\\/", ["\b"] = "\\b", ["\f"] = "\\f",
  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\127"] = "\\u007f"}
for code = 0, 31 do
  local one = char(code)
  escapes[one] = escapes[one] or format("\\u%04x", code)
end

local function quoted(text)
  return '"' .. gsub(text, '[%z\1-\31"\\/\127]', escapes) .. '"'
end

local function number(value)
  if value ~= value or value == infinity or value == -infinity then
    fail("Cannot serialise number: must not be NaN or Inf")
  end
  return format("%.14g", value)
end

-- The length of an array; nil: it is none.
local function length(value)
  local most, count = 0, 0
  for key in next, value do
    if type(key) ~= "number" or key < 1 or floor(key) ~= key then return nil end
    -- Where Redis' number is full, it turns: then that is no array either.
    if key >= 2 ^ 31 then most = -2 ^ 31 elseif key > most then most = key end
    count = count + 1
  end
  if most > count * SPARSE_RATIO and most > SPARSE_SAFE then
    fail("Cannot serialise table: excessively sparse array")
  end
  return most
end

local write

local function write_table(value, depth, out, n)
  depth = depth + 1
  if depth > MAX_DEPTH then fail("Cannot serialise, excessive nesting (%d)", depth) end
  local most = length(value)
  if most and most > 0 then
    out[n + 1] = "["
    n = n + 1
    for place = 1, most do
      if place > 1 then out[n + 1] = "," n = n + 1 end
      n = write(rawget(value, place), depth, out, n)
    end
    out[n + 1] = "]"
    return n + 1
  end
  out[n + 1] = "{"
  n = n + 1
  local first = true
  for key, held in next, value do
    local kind = type(key)
    if kind == "number" then key = '"' .. number(key) .. '":'
    elseif kind == "string" then key = quoted(key) .. ":"
    else fail("Cannot serialise %s: table key must be a number or string", kind) end
    out[n + 1] = first and key or "," .. key
    first = false
    n = write(held, depth, out, n + 1)
  end
  out[n + 1] = "}"
  return n + 1
end

write = function(value, depth, out, n)
  local kind = type(value)
  if kind == "table" then return write_table(value, depth, out, n) end
  if kind == "string" then out[n + 1] = quoted(value)
  elseif kind == "number" then out[n + 1] = number(value)
  elseif kind == "boolean" then out[n + 1] = value and "true" or "false"
  elseif kind == "nil" or value == null then out[n + 1] = "null"
  else fail("Cannot serialise %s: type not supported", kind) end
  return n + 1
end

local function encode(value)
  local out = {}
  write(value, 0, out, 0)
  return concat(out)
end

local function expected(what, found, at)
  fail("Expected %s but found %s at character %d", what, found, at)
end

local marks = {["{"] = "T_OBJ_BEGIN", ["}"] = "T_OBJ_END", ["["] = "T_ARR_BEGIN", ["]"] = "T_ARR_END",
  [","] = "T_COMMA", [":"] = "T_COLON", [""] = "T_END", ["\0"] = "T_END"}
local plain = {['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t"}

local function utf8(code)
  if code < 0x80 then return char(code) end
  local last = char(0x80 + code % 64)
  code = floor(code / 64)
  if code < 0x20 then return char(0xC0 + code) .. last end
  last = char(0x80 + code % 64) .. last
  code = floor(code / 64)
  if code < 0x10 then return char(0xE0 + code) .. last end
  return char(0xF0 + floor(code / 64), 0x80 + code % 64) .. last
end

local function four_digits(text, at)
  local digits = sub(text, at, at + 3)
  return find(digits, "^%x%x%x%x$") and tonumber(digits, 16)
end

-- What \uXXXX at ``at`` means, and how many characters it takes; nothing: it is wrong.
local function unicode(text, at)
  local code = four_digits(text, at + 2)
  if not code or code >= 0xDC00 and code < 0xE000 then return nil end
  if code < 0xD800 or code >= 0xE000 then return utf8(code), 6 end
  local low = sub(text, at + 6, at + 7) == "\\u" and four_digits(text, at + 8)
  if not low or low < 0xDC00 or low >= 0xE000 then return nil end
  return utf8((code - 0xD800) * 0x400 + low - 0xDC00 + 0x10000), 12
end

-- Tokens are a kind, its value, and where the next one is looked for; of a fault, what it is and where.
local function read_string(text, at)
  local start, parts, n = at + 1, nil, 0
  while true do
    local place = find(text, '[%z"\\]', start)
    local mark = place and sub(text, place, place)
    if not place or mark == "\0" then return "fault", "unexpected end of string", place or #text + 1 end
    if mark == '"' then
      local last = sub(text, start, place - 1)
      if not parts then return "T_STRING", last, place + 1 end
      parts[n + 1] = last
      return "T_STRING", concat(parts), place + 1
    end
    parts = parts or {}
    parts[n + 1] = sub(text, start, place - 1)
    local letter, taken = sub(text, place + 1, place + 1), 2
    if letter == "u" then
      parts[n + 2], taken = unicode(text, place)
      if not taken then return "fault", "invalid unicode escape code", place end
    else
      parts[n + 2] = plain[letter]
      if not parts[n + 2] then return "fault", "invalid escape code", place end
    end
    n, start = n + 2, place + taken
  end
end

-- As strtod reads it: hexadecimal, infinities and what is no number too.
local function read_number(text, at)
  local sign, first = 1, at
  local mark = sub(text, at, at)
  if mark == "-" or mark == "+" then
    sign, first = mark == "-" and -1 or 1, at + 1
  end
  local _, last = find(text, "^0[xX]%x+%.?%x*", first)
  if not last then _, last = find(text, "^0[xX]%.%x+", first) end
  if last then
    local _, power = find(text, "^[pP][+-]?%d+", last + 1)
    last = power or last
  else
    _, last = find(text, "^%d+%.?%d*", first)
    if not last then _, last = find(text, "^%.%d+", first) end
    if last then
      local _, power = find(text, "^[eE][+-]?%d+", last + 1)
      last = power or last
    end
  end
  if last then return "T_NUMBER", sign * tonumber(sub(text, first, last)), last + 1 end
  _, last = find(text, "^[iI][nN][fF][iI][nN][iI][tT][yY]", first)
  if not last then _, last = find(text, "^[iI][nN][fF]", first) end
  if last then return "T_NUMBER", sign * infinity, last + 1 end
  _, last = find(text, "^[nN][aA][nN]%([%w_]*%)", first)
  if not last then _, last = find(text, "^[nN][aA][nN]", first) end
  if last then return "T_NUMBER", sign < 0 and -nan or nan, last + 1 end
  return "fault", "invalid number", at
end

-- Kind, value, where it begins, where the next one is looked for.
local function token(text, at)
  at = find(text, "[^ \t\r\n]", at) or #text + 1
  local mark = sub(text, at, at)
  local kind, value, after = marks[mark], nil, at + 1
  if kind then return kind, nil, at, after end
  if mark == '"' then kind, value, after = read_string(text, at)
  elseif find(mark, "[%d-]") then kind, value, after = read_number(text, at)
  elseif sub(text, at, at + 3) == "true" then return "T_BOOLEAN", true, at, at + 4
  elseif sub(text, at, at + 4) == "false" then return "T_BOOLEAN", false, at, at + 5
  elseif sub(text, at, at + 3) == "null" then return "T_NULL", null, at, at + 4
  elseif mark == "+" or find(text, "^[iI][nN][fF]", at) or find(text, "^[nN][aA][nN]", at) then
    kind, value, after = read_number(text, at)
  else return "fault", "invalid token", at, at end
  if kind == "fault" then return kind, value, after, after end
  return kind, value, at, after
end

local function name_of(kind, value) return kind == "fault" and value or kind end

local read

-- What follows "[" or "{", and where it ends.
local function read_table(text, at, depth, is_object)
  depth = depth + 1
  if depth > MAX_DEPTH then
    fail("Found too many nested data structures (%d) at character %d", depth, at - 1)
  end
  local found, place, last = {}, 1, is_object and "T_OBJ_END" or "T_ARR_END"
  local kind, value, begun, after = token(text, at)
  if kind == last then return found, after end
  while true do
    local key = place
    if is_object then
      if kind ~= "T_STRING" then expected("object key string", name_of(kind, value), begun) end
      key = value
      kind, value, begun, after = token(text, after)
      if kind ~= "T_COLON" then expected("colon", name_of(kind, value), begun) end
      kind, value, begun, after = token(text, after)
    end
    found[key], after = read(text, kind, value, begun, after, depth)
    place = place + 1
    kind, value, begun, after = token(text, after)
    if kind == last then return found, after end
    if kind ~= "T_COMMA" then
      expected(is_object and "comma or object end" or "comma or array end", name_of(kind, value), begun)
    end
    kind, value, begun, after = token(text, after)
  end
end

read = function(text, kind, value, begun, after, depth)
  if kind == "T_OBJ_BEGIN" then return read_table(text, after, depth, true) end
  if kind == "T_ARR_BEGIN" then return read_table(text, after, depth, false) end
  if kind == "T_STRING" or kind == "T_NUMBER" or kind == "T_BOOLEAN" or kind == "T_NULL" then
    return value, after
  end
  expected("value", name_of(kind, value), begun)
end

local function decode(text)
  if type(text) == "number" then text = tostring(text) end
  if type(text) ~= "string" then
    fail("bad argument #1 to 'decode' (string expected, got %s)", type(text))
  end
  if #text >= 2 and (byte(text, 1) == 0 or byte(text, 2) == 0) then
    fail("JSON parser does not support UTF-16 or UTF-32")
  end
  local kind, value, begun, after = token(text, 1)
  local found
  found, after = read(text, kind, value, begun, after, 0)
  kind, value, begun = token(text, after)
  if kind ~= "T_END" then expected("the end", name_of(kind, value), begun) end
  return found
end

return {encode = outward("encode", encode), decode = outward("decode", decode), null = null,
  _NAME = "cjson", _VERSION = "2.1.0"}
"""
