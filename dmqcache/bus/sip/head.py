"""The head of a SIP message: where it ends, its lines, its headers by name.

Owns line ends, folding, the shape of a header line and the limits of a head (RFC 3261 sections 7.3 and 25.1),
for datagrams and streams alike. What a start line or a value says is for ``sip_message.py`` and
``headers.py``.
"""

from __future__ import annotations

from typing import NoReturn

from dmqcache.bus.sip.headers import KNOWN_NAMES, TOKEN, MessageError, full_name

#: Bytes of start line and headers together. Kamailio's own are under 1 KiB; a few proxies add a few hundred.
MAX_HEAD = 32_768
#: Characters of one line.
MAX_LINE = 8_192
#: Header lines, each line of a folded one counted. Kamailio sends nine.
MAX_HEADERS = 128
#: Digits of a Content-Length that are looked at: 9 hold any length that is ever accepted.
MAX_LENGTH_DIGITS = 9
#: Stands for every longer Content-Length: more than any limit, so that the limits' own reasons name it.
UNREAL_LENGTH = 1_000_000_000

_MANDATORY = ("via", "from", "to", "call-id", "cseq")
#: Headers that may stand once, because two of them would be read differently by different readers.
#: Content-Length is judged by its values, in :func:`parse_length`.
_SINGLE = ("from", "to", "call-id", "cseq", "max-forwards", "content-type")


def find_head_end(data: bytes | bytearray, position: int) -> tuple[int, int]:
    """(end of the head, start of the body), or (-1, -1) while there is no empty line from ``position`` on."""
    crlf = data.find(b"\n\r\n", position)
    # One further than the other's start, for they may overlap: LF LF CR LF ends at the first pair.
    bare = data.find(b"\n\n", position, crlf + 1 if crlf >= 0 else len(data))
    if bare >= 0:
        return bare, bare + 2
    return (crlf, crlf + 3) if crlf >= 0 else (-1, -1)


def split_head(data: bytes) -> tuple[list[str], int]:
    """The lines of the head, the start line first, without line ends and still folded; and where the body
    starts. Raises :class:`MessageError`."""
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD)
    if end >= 0:
        text = data[:end].decode("utf-8", "surrogateescape")
        lines = text.split("\r\n")
        ends = len(lines) - 1
        start = end + 4
        # Another CR or LF than those: perhaps lines that end in LF, then the head ended earlier.
        clean = text.count("\n") == ends and text.count("\r") == ends
    if end < 0 or not clean:
        text, lines, start = _split_loosely(data)
    # As a quoted pair it is part of a string (RFC 3261 section 25.1).
    if "\0" in text and "\0" in text.replace("\\\0", ""):
        _refuse_characters(lines[0])
    if len(lines) - 1 > MAX_HEADERS:
        raise MessageError("too_many_headers", str(len(lines) - 1))
    if len(text) > MAX_LINE and max(map(len, lines)) > MAX_LINE:
        raise MessageError("head_too_large", lines[0])
    return lines, start


def read_headers(lines: list[str]) -> dict[str, list[str]]:
    """The values by full name in lower case, unfolded. ``lines[0]`` is the start line and not read.

    Raises :class:`MessageError`, also where a mandatory header is missing.
    """
    values: dict[str, list[str]] = {}
    key: str | None = None
    lines = lines[1:]
    for line in lines:
        name, colon, value = line.partition(":")
        last, key = key, KNOWN_NAMES.get(name)
        if key is None:
            if line[:1] in " \t" and last is not None:
                key = last
                values[key][-1] = (values[key][-1] + " " + line.strip(" \t")).strip(" ")
                continue
            key = _unusual_key(name, line)
        if not colon:
            raise MessageError("bad_header", line)
        if key in values:
            values[key].append(value.strip(" \t"))
        else:
            values[key] = [value.strip(" \t")]
    for name in _MANDATORY:
        if name not in values or not values[name][0]:
            raise MessageError("missing_header", name)
    if len(values) != len(lines):
        _check_single(values)
    return values


def parse_length(values: list[str]) -> int:
    """The Content-Length from its header lines; :data:`UNREAL_LENGTH` for anything longer than that.

    Raises :class:`MessageError` ``bad_content_length``. A number of thousands of digits costs nothing.
    """
    text = values[0]
    if len(values) > 1 and any(other != text for other in values):
        raise MessageError("bad_content_length", f"{text} and another")
    if not (text.isdigit() and text.isascii()):
        raise MessageError("bad_content_length", text)
    if len(text) > MAX_LENGTH_DIGITS:
        text = text.lstrip("0") or "0"
        if len(text) > MAX_LENGTH_DIGITS:
            return UNREAL_LENGTH
    return int(text)


def _split_loosely(data: bytes) -> tuple[str, list[str], int]:
    """As :func:`split_head`, for a head with lines that end in LF alone."""
    end, start = find_head_end(data, 0)
    if end < 0:
        _refuse_headless(data)
    if end > MAX_HEAD:
        raise MessageError("head_too_large", str(end))
    text = data[:end].decode("utf-8", "surrogateescape").removesuffix("\r").replace("\r\n", "\n")
    # A lone CR ends a line for some readers: in a value that we copy into a reply it would be smuggled on.
    if "\r" in text:
        _refuse_characters(text)
    return text, text.split("\n"), start


def _refuse_headless(data: bytes) -> NoReturn:
    first = data[:MAX_LINE].partition(b"\n")[0]
    if b"SIP/2.0" not in first.upper():
        raise MessageError("not_sip", first.decode("utf-8", "replace"))
    raise MessageError("head_too_large" if len(data) > MAX_HEAD else "truncated_head")


def _refuse_characters(text: str) -> NoReturn:
    first = text[:MAX_LINE].partition("\n")[0]
    raise MessageError("bad_header" if "SIP/" in first.upper() else "not_sip", first)


def _unusual_key(name: str, line: str) -> str:
    name = name.rstrip(" \t")
    if not TOKEN.fullmatch(name):
        raise MessageError("bad_header", line)
    return full_name(name)


def _check_single(values: dict[str, list[str]]) -> None:
    for key in _SINGLE:
        if len(values.get(key, ())) > 1:
            raise MessageError("duplicate_header", key)
