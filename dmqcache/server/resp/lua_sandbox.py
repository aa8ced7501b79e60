"""Lua for EVAL: one interpreter of version 5.1, as Redis has it, in which a script sees its keys,
``redis.call`` and the harmless part of Lua, and nothing of Python, the system or other scripts.

A script is stopped after so many instructions, so much time or memory, whatever it catches. lupa (the extra
``lua``) is loaded with the first script. What EVAL says and answers is ``commands_script.py``'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from dmqcache.server.resp.lua_bit import BIT
from dmqcache.server.resp.lua_cjson import CJSON
from dmqcache.server.resp.lua_tail_calls import kept_frames
from dmqcache.server.resp.reply import NULL_2, CommandError, error, integer, simple

#: Seconds of processor time and instructions of one script: until it ends nobody else is served.
MAX_SECONDS: Final = 0.5
MAX_INSTRUCTIONS: Final = 20_000_000
#: Bytes of the whole interpreter.
MAX_MEMORY: Final = 32 << 20
#: Instructions between two looks.
LOOK: Final = 10_000
#: Steps that matching a pattern may take at most, if it comes back to each repetition: that is one
#: instruction to Lua.
MAX_PATTERN_STEPS: Final = 10_000_000
#: How deep tables of a reply may lie in one another, and how much a reply holds.
MAX_DEPTH: Final = 100
MAX_PARTS: Final = 100_000
MAX_REPLY_BYTES: Final = 64 << 20

#: What a script's ``redis.call`` runs: words to (whether it failed, the value for Lua).
Call = Callable[[tuple[Any, ...]], tuple[bool, Any]]

#: Redis' is a pointer to nowhere.
_NULL: Final = """
local null = newproxy(true)
local own = getmetatable(null)
own.__tostring, own.__metatable = function() return "userdata: (nil)" end, false
return null
"""

_PRELUDE: Final = """
local host, max_seconds, max_instructions, look, max_steps, sha1hex, kept_frames, cjson, bit = ...
local sethook, clock = debug.sethook, os.clock
local error, pcall, xpcall, loadstring, setfenv = error, pcall, xpcall, loadstring, setfenv
local setmetatable, type, select, tonumber = setmetatable, type, select, tonumber
local rep, insert, sub, find = string.rep, table.insert, string.sub, string.find
local gsub, floor, getinfo, dump, rawget = string.gsub, math.floor, debug.getinfo, string.dump, rawget

local function readonly(table)
  return setmetatable({}, {
    __index = table, __metatable = false,
    __newindex = function() error("Attempt to modify a readonly table", 2) end,
  })
end

-- An argument that is to be a text or a number, as C's functions take it.
local function checked(name, place, kind, ...)
  local given = select(place, ...)
  local found = type(given)
  if found == "number" or found == "string" then
    if kind == "string" then return given .. "" end
    if tonumber(given) then return tonumber(given) end
  end
  local got = select("#", ...) < place and "no value" or found
  error("bad argument #" .. place .. " to '" .. name .. "' (" .. kind .. " expected, got " .. got .. ")", 3)
end

-- What goes on in C for long is one instruction to the hook: it is bounded by its arguments. In a pattern
-- each repetition that is tried anew for each place of the text multiplies the steps.
local function bounded(name, f)
  return function(...)
    local text, pattern = checked(name, 1, "string", ...), checked(name, 2, "string", ...)
    local _, repetitions = gsub(pattern, "[*+?%-]", "")
    local _, balanced = gsub(pattern, "%%b", "")
    repetitions = repetitions + balanced
    local steps = floor(#pattern / 64) + 1
    for _ = 0, repetitions do
      steps = steps * (#text + 1)
      if steps > max_steps then
        error("a pattern with so many repetitions is too slow for so long a text", 2)
      end
    end
    return f(text, pattern, select(3, ...))
  end
end

local strings = {}
for name, f in pairs(string) do strings[name] = f end
strings.dump = nil
strings.rep = function(...)
  local text, count = checked("rep", 1, "string", ...), checked("rep", 2, "number", ...)
  if count * (#text + 1) > max_steps then error("a text as long as that is not made", 2) end
  return rep(text, count)
end
for _, name in ipairs({"find", "match", "gmatch", "gsub"}) do strings[name] = bounded(name, string[name]) end
local tables = {}
for name, f in pairs(table) do tables[name] = f end
tables.insert = function(list, ...)
  if select("#", ...) < 2 then return insert(list, ...) end
  local place = tonumber((...)) or error("number expected", 2)
  if place < 1 or place > #list + 1 then error("position out of bounds", 2) end
  return insert(list, ...)
end
tables.foreach, tables.foreachi, tables.getn, tables.setn = nil, nil, nil, nil
local texts = getmetatable("")
texts.__index = strings
texts.__metatable = false

local function call(...)
  local failed, value = host(...)
  if failed then error({err = value}, 0) end
  return value
end

local function raise(text) error({err = text}, 0) end

local function only_text(...)
  return select("#", ...) == 1 and type((...)) == "string" and (...) or nil
end

local redis = {
  call = call,
  pcall = function(...)
    local failed, value = host(...)
    if failed then return {err = value} end
    return value
  end,
  error_reply = function(...)
    local text = only_text(...)
    if not text then return {err = "ERR wrong number or type of arguments"} end
    if sub(text, 1, 1) == "-" then text = sub(text, 2) end
    if not find(text, " ", 1, true) then text = "ERR " .. text end
    return {err = text}
  end,
  status_reply = function(...)
    local text = only_text(...)
    if not text then return {err = "ERR wrong number or type of arguments"} end
    return {ok = text}
  end,
  sha1hex = function(...)
    if select("#", ...) ~= 1 then raise("ERR wrong number of arguments") end
    local text = ...
    return sha1hex((type(text) == "string" or type(text) == "number") and text .. "" or "")
  end,
  log = function(...)
    local level = ...
    if select("#", ...) < 2 then raise("ERR redis.log() requires two arguments or more.") end
    level = tonumber(level)
    if not level then raise("ERR First argument must be a number (log level).") end
    if level < 0 or level >= 4 then raise("ERR Invalid debug level.") end
  end,
  breakpoint = function() return false end,
  debug = function() end,
  replicate_commands = function() return true end,
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
}

-- What catches an error of redis.call gets its words, as in Redis.
local function caught(fine, value, ...)
  if not fine and type(value) == "table" then
    local text = rawget(value, "err")
    if type(text) == "string" then return false, text end
  end
  return fine, value, ...
end

local offered = {
  redis = readonly(redis), string = readonly(strings), table = readonly(tables), math = readonly(math),
  cjson = readonly(cjson), bit = readonly(bit), _VERSION = _VERSION,
  assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, next = next, pairs = pairs,
  pcall = function(...) return caught(pcall(...)) end, rawequal = rawequal, rawget = rawget, select = select,
  setmetatable = setmetatable, tonumber = tonumber, tostring = tostring, type = type, unpack = unpack,
}

local function environment(keys, argv)
  local scope = {KEYS = keys, ARGV = argv}
  local world = {}
  scope._G = world
  return setmetatable(world, {
    __metatable = false,
    __index = function(_, name)
      local value = scope[name]
      if value == nil then value = offered[name] end
      if value == nil then
        error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
      end
      return value
    end,
    __newindex = function() error("Attempt to modify a readonly table", 2) end,
  })
end

local function compile(code)
  local chunk, problem = loadstring(code, "@user_script")
  if not chunk then return chunk, problem end
  return loadstring(kept_frames(dump(chunk)), "@user_script")
end

-- The line of the script on which it failed; nothing: none of its functions was running.
local line
local function noted(problem)
  local level = 2
  local at = getinfo(level, "Sl")
  while at and at.source ~= "@user_script" do
    level = level + 1
    at = getinfo(level, "Sl")
  end
  line = at and at.currentline
  if line and type(problem) == "string" then
    -- Where ours have called C's.
    return (gsub(problem, '^%[string "<python>"%]:%d+: ', "user_script:" .. line .. ": "))
  end
  return problem
end

local run
run = function(chunk, keys, argv)
  local left, over = floor(max_instructions / look), clock() + max_seconds
  local function hook()
    if left < 0 and getinfo(2, "f").func == run then sethook() return end
    left = left - 1
    if left < 0 or clock() > over then
      -- From now on each instruction fails, so that nothing that catches errors goes on.
      left = -1
      sethook(hook, "", 1)
      error({err = "ERR the script took too long and was stopped; what it wrote stays"}, 0)
    end
  end
  setfenv(chunk, environment(keys, argv))
  line = nil
  sethook(hook, "", look)
  local fine, value = xpcall(chunk, noted)
  sethook()
  return fine, value, line
end

return compile, run, rawget, function() collectgarbage() end
"""


class Interpreter:
    """One Lua, for all scripts of a server, one after the other."""

    def __init__(self, sha1hex: Callable[[bytes], bytes]) -> None:
        """CommandError where lupa is not installed."""
        try:
            from lupa import lua51
        except ImportError:
            raise CommandError("ERR scripts need Lua: pip install 'dmqcache[lua]'") from None
        self._lua = lua51
        self._call: Call | None = None
        #: Of the reply that is being written.
        self._parts = self._bytes = 0
        runtime = self._runtime = lua51.LuaRuntime(
            encoding=None,
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_nothing,
            max_memory=MAX_MEMORY,
        )
        limits = MAX_SECONDS, MAX_INSTRUCTIONS, LOOK, MAX_PATTERN_STEPS
        libraries = (
            runtime.execute(CJSON.encode(), runtime.execute(_NULL.encode())),
            runtime.execute(BIT.encode()),
        )
        self._compile, self._run, self._get, self._collect = runtime.execute(
            _PRELUDE.encode(), self._host, *limits, sha1hex, kept_frames, *libraries
        )

    def compile(self, code: bytes) -> Any:
        """A script, to be run again and again. CommandError with what Lua says is wrong."""
        if code.startswith(b"\x1b"):
            raise CommandError("ERR Error compiling script (new function): bytecode is not run")
        try:
            found = self._compile(code)
        except self._lua.LuaError as problem:  # memory
            raise CommandError(f"ERR {_text(problem)}") from None
        if isinstance(found, tuple):
            raise CommandError(f"ERR Error compiling script (new function): {found[1].decode(*_ANY)}")
        return found

    def run(
        self, script: Any, keys: Sequence[bytes], argv: Sequence[bytes], call: Call, name: str = ""
    ) -> bytes:
        """Run a script; returns its reply. Where it fails, that tells its ``name`` and line, as Redis' does.
        LuaError where not even its end could be caught: then this interpreter is of no use any more."""
        self._call = call
        try:
            fine, value, line = self._run(script, self._table(keys), self._table(argv))
        finally:
            self._call = None
        self._parts = self._bytes = 0
        place = f" script: {name}, on @user_script:{line}." if name and line else ""
        return self._reply(value, 0) if fine else self._failure(value, place)

    def is_worn(self) -> bool:
        """Whether it is so full, its waste taken away, that another should run the next script."""
        if self._used() > MAX_MEMORY // 4:
            self._collect()
        return self._used() > MAX_MEMORY // 4

    def _used(self) -> int:
        return int(self._runtime.get_memory_used())

    def _table(self, items: Sequence[Any]) -> Any:
        return self._runtime.table_from(list(items))

    def _host(self, *words: Any) -> tuple[bool, Any]:
        assert self._call is not None
        failed, value = self._call(words)
        return failed, self._to_lua(value)

    def _to_lua(self, value: Any) -> Any:
        """From what hiredis reads: no reply is ``false``, as in Redis; a mapping has one word: ``ok``."""
        if value is None:
            return False
        if isinstance(value, dict):
            return self._runtime.table_from(value)
        if isinstance(value, list):
            return self._table([self._to_lua(one) for one in value])
        return value

    def _failure(self, value: Any, place: str) -> bytes:
        if self._lua.lua_type(value) == "table":
            text = self._get(value, b"err")
            said = text.decode(*_ANY) if isinstance(text, bytes) else "ERR unknown error"
        elif isinstance(value, bytes):
            said = f"ERR {value.decode(*_ANY)}"
        else:
            said = f"ERR { {None: 'nil', True: 'true', False: 'false'}.get(value, value) }"
        return error(said.replace("\r", " ").replace("\n", " ") + place)

    def _reply(self, value: Any, depth: int) -> bytes:
        """Lua's values as Redis writes them: numbers are cut to integers, a table ends before its first
        nil."""
        self._parts += 1
        self._bytes += len(value) if isinstance(value, bytes) else 0
        if self._parts > MAX_PARTS or self._bytes > MAX_REPLY_BYTES:
            raise CommandError("ERR the script's reply is too large")
        if isinstance(value, bool):
            return b":1\r\n" if value else NULL_2
        if isinstance(value, bytes):
            return b"$%d\r\n%b\r\n" % (len(value), value)
        if isinstance(value, int | float):
            return integer(_whole(value))
        if self._lua.lua_type(value) != "table":
            return NULL_2
        if depth >= MAX_DEPTH:
            raise CommandError("ERR the script's reply is nested too deeply")
        for name, written in ((b"err", error), (b"ok", simple)):
            text = self._get(value, name)  # nothing that a table's metatable says is run any more
            if isinstance(text, bytes):
                return written(text.decode(*_ANY).replace("\r", " ").replace("\n", " "))
        parts: list[bytes] = []
        while (one := self._get(value, len(parts) + 1)) is not None:
            parts.append(self._reply(one, depth + 1))
        return b"*%d\r\n" % len(parts) + b"".join(parts)


_ANY: Final = ("utf-8", "surrogateescape")


def _nothing(_object: object, _name: object, _setting: bool) -> Any:
    raise AttributeError("a script sees nothing of Python")


def _whole(number: float) -> int:
    if not math.isfinite(number) or not -(2.0**63) <= number < 2.0**63:
        return -(1 << 63)
    return int(number)


def _text(problem: Exception) -> str:
    said = problem.args[0] if problem.args else ""
    return said.decode(*_ANY) if isinstance(said, bytes) else str(said)
