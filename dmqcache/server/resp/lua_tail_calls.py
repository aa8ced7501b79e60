"""A compiled script in which the libraries' functions are called as any other, also where they come last.

``return cjson.decode(x)`` is a tail call: it gives up the script's own frame, and what then goes wrong has no
place any more. Redis' functions are C's, for which Lua keeps that frame; ours are Lua's. So the instruction
is replaced in what Lua has compiled, for these functions alone: a script's own tail calls stay what they are.

Owns the reading of Lua 5.1's format (``ldump.c``, ``lopcodes.h``); who compiles and runs is
``lua_sandbox.py``'s.
"""

from __future__ import annotations

import struct
from typing import Final

#: Signature, version 5.1, format 0, and this: little end first, ``int`` and instructions of 4 bytes,
#: ``size_t`` and numbers of 8. Of any other machine the code is left as it is.
_HEADER: Final = b"\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00"
#: Those that cannot be replaced, so that a tail call of their functions is no loop of the script's.
LIBRARIES: Final = frozenset({b"redis\0", b"cjson\0", b"bit\0", b"string\0", b"table\0"})
_GETGLOBAL, _GETTABLE, _CALL, _TAILCALL = 5, 6, 28, 29
#: Instructions whose A is no register that they write.
_WRITE_NOTHING: Final = frozenset({7, 8, 9, 22, 23, 24, 25, 26, 30, 34, 35})
#: Kinds of constants.
_NIL, _BOOLEAN, _NUMBER = 0, 1, 3


def kept_frames(compiled: bytes) -> bytes:
    """What ``string.dump`` has written, with calls in place of tail calls of the libraries' functions."""
    if not compiled.startswith(_HEADER):
        return compiled
    code = bytearray(compiled)
    _function(code, len(_HEADER))
    return bytes(code)


def _function(code: bytearray, at: int) -> int:
    """One function and those within it; returns where it ends."""
    _, at = _text(code, at)
    at += 4 + 4 + 4  # lines; upvalues, parameters, varargs, stack
    count, begun = _integer(code, at)
    at = begun + 4 * count
    constants, at = _constants(code, at)
    _replace(code, begun, count, constants)
    within, at = _integer(code, at)
    for _ in range(within):
        at = _function(code, at)
    lines, at = _integer(code, at)
    at += 4 * lines
    variables, at = _integer(code, at)
    for _ in range(variables):
        at = _text(code, at)[1] + 4 + 4
    upvalues, at = _integer(code, at)
    for _ in range(upvalues):
        at = _text(code, at)[1]
    return at


def _replace(code: bytearray, begun: int, count: int, constants: list[bytes]) -> None:
    instructions = struct.unpack_from(f"<{count}I", code, begun)
    for number, one in enumerate(instructions):
        if one & 0x3F == _TAILCALL and _is_of_library(instructions[:number], one >> 6 & 0xFF, constants):
            struct.pack_into("<I", code, begun + 4 * number, one - _TAILCALL + _CALL)


def _is_of_library(before: tuple[int, ...], register: int, constants: list[bytes]) -> bool:
    """Whether what was last written there is a field of a global that is a library."""
    for place in range(len(before) - 1, 0, -1):
        operation, written = before[place] & 0x3F, before[place] >> 6 & 0xFF
        if written == register and operation not in _WRITE_NOTHING:
            first = before[place - 1]
            return (
                operation == _GETTABLE
                and before[place] >> 23 == register
                and first & 0x3FFF == _GETGLOBAL | register << 6
                and constants[first >> 14] in LIBRARIES
            )
    return False


def _constants(code: bytearray, at: int) -> tuple[list[bytes], int]:
    """Texts; of other kinds nothing."""
    found: list[bytes] = []
    count, at = _integer(code, at)
    for _ in range(count):
        kind, at, text = code[at], at + 1, b""
        if kind == _BOOLEAN:
            at += 1
        elif kind == _NUMBER:
            at += 8
        elif kind != _NIL:
            text, at = _text(code, at)
        found.append(text)
    return found, at


def _integer(code: bytearray, at: int) -> tuple[int, int]:
    return int.from_bytes(code[at : at + 4], "little"), at + 4


def _text(code: bytearray, at: int) -> tuple[bytes, int]:
    """With the zero at its end."""
    end = at + 8 + int.from_bytes(code[at : at + 8], "little")
    return bytes(code[at + 8 : end]), end
