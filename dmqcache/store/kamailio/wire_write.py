"""Writing the ``htable`` channel: each message in the dialect of the node that it goes to.

Field order is Kamailio's own, so that the bytes are those that a Kamailio would send. Never both ``strval``
and ``intval`` in one object: Kamailio keeps them in one C union, so the later would overwrite the earlier.
Whether a value can be carried at all is asked first, with :func:`carriable`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dmqcache.store.kamailio.dialect import Dialect
from dmqcache.store.table.json_bytes import quote
from dmqcache.store.table.settings import MAX_TABLE_NAME_LENGTH

#: A body must fit into one datagram (65,507 bytes) beside the SIP headers. Kamailio's own batches end here.
MAX_BODY_BYTES: Final = 60_000
#: All of a cell but key and value: names of fields, the table's name, two numbers of 20 digits.
_CELL_OVERHEAD_BYTES: Final = 120 + MAX_TABLE_NAME_LENGTH
#: A control character is six bytes in JSON, one of four bytes in UTF-8 four.
_MAX_BYTES_PER_CHARACTER: Final = 6
#: ``{"cells":[`` and ``]}``: what :func:`join_cells` adds, beside a comma between two cells.
BATCH_OVERHEAD_BYTES: Final = 12
#: Ask for all tables. (A 6.2 would take the name of one as well; others send all whatever it says.)
SYNC_REQUEST: Final = b'{"action":1}'

#: Integers are a C int in every Kamailio that was tried (5.6.3, 6.2).
_MIN_C_INT, _MAX_C_INT = -(2**31), 2**31 - 1


def carriable(key: str, value: str | int, most: int = MAX_BODY_BYTES) -> str | None:
    """Why a cell cannot be sent to a Kamailio that receives bodies of up to ``most`` bytes, as a name for a
    counter; None if it can.

    ``empty_key``: Kamailio takes it in a set but skips it in cells, so no sync would ever bring it.
    ``nul_in_text``: its strings end there. ``integer_over_32_bits``: it would arrive as -2147483648.
    ``too_large``: beyond ``most`` encoded.
    """
    text = value if isinstance(value, str) else ""
    if not key:
        return "empty_key"
    if "\0" in key or "\0" in text:
        return "nul_in_text"
    if not isinstance(value, str) and not _MIN_C_INT <= value <= _MAX_C_INT:
        return "integer_over_32_bits"
    return None if _fits(key, text, most) else "too_large"


def _fits(key: str, text: str, most: int) -> bool:
    room = most - _CELL_OVERHEAD_BYTES
    if (len(key) + len(text)) * _MAX_BYTES_PER_CHARACTER <= room:
        return True
    if len(key) + len(text) > room:
        return False
    return len(quote(key)) + len(quote(text)) <= room


def write_set(table: str, key: str, value: str | int, last_modified: int | None, dialect: Dialect) -> bytes:
    """Set a cell. ``last_modified`` (Unix ms) is left out where the dialect does not know it."""
    stamp = b""
    if dialect.last_modified and last_modified is not None:
        stamp = b',"last_modified":%d' % last_modified
    return b'{"action":2,"htname":%b,"cname":%b,%b%b,"mode":1}' % (
        quote(table),
        quote(key),
        _typed(value),
        stamp,
    )


def write_expire(table: str, key: str, seconds: int) -> bytes:
    """Give a cell a time to live from now; 0: for ever. To follow the set's 200: before it, it is lost."""
    return b'{"action":3,"htname":%b,"cname":%b,"type":0,"intval":%d,"mode":0}' % (
        quote(table),
        quote(key),
        min(seconds, _MAX_C_INT),
    )


def write_delete(table: str, key: str) -> bytes:
    """Delete a cell."""
    return b'{"action":4,"htname":%b,"cname":%b,"mode":0}' % (quote(table), quote(key))


def cell_bytes(
    table: str, key: str, value: str | int, expire: int, last_modified: int | None, dialect: Dialect
) -> bytes:
    """One cell of a batch, encoded: batches are sized by the lengths of these.

    ``expire``: Unix seconds, 0: none. All fields are in every cell: Kamailio 5 takes a missing one from the
    cell before.
    """
    stamp = b""
    if dialect.last_modified and last_modified is not None:
        stamp = b',"last_modified":%d' % last_modified
    return b'{"htname":%b,"cname":%b,%b,"expire":%d%b}' % (
        quote(table),
        quote(key),
        _typed(value),
        expire,
        stamp,
    )


def join_cells(cells: Iterable[bytes]) -> bytes:
    """A batch of encoded cells. ``cells`` is its first key: Kamailio looks at no other."""
    return b'{"cells":[%b]}' % b",".join(cells)


def _typed(value: str | int) -> bytes:
    """``type`` and the value."""
    if isinstance(value, str):
        return b'"type":2,"strval":%b' % quote(value)
    return b'"type":0,"intval":%d' % value
