"""The ``htable`` channel's JSON: the public names of its codec, and nothing else.

Reading is in ``wire_read.py``, writing in ``wire_write.py``, what is said in ``wire_types.py``, who
understands what in ``dialect.py``, strings that are not UTF-8 in ``json_bytes.py``.
"""

from dmqcache.store.kamailio.dialect import (
    DMQCACHE,
    DMQCACHE_TAG,
    KAMAILIO5,
    KAMAILIO6,
    KAMAILIO62,
    Dialect,
    dialect_of,
    stricter,
)
from dmqcache.store.kamailio.wire_read import MAX_BAD_CELLS, MAX_BODY_BYTES, read
from dmqcache.store.kamailio.wire_types import (
    Action,
    Cell,
    CellBatch,
    Delete,
    NumberCell,
    Reason,
    Remove,
    Set,
    SetExpire,
    SyncRequest,
    TextCell,
    WireError,
)
from dmqcache.store.kamailio.wire_write import (
    BATCH_OVERHEAD_BYTES,
    MAX_CELL_BYTES,
    carriable,
    cell_bytes,
    join_cells,
    write_cells,
    write_delete,
    write_expire,
    write_set,
    write_sync_request,
)

__all__ = [
    "BATCH_OVERHEAD_BYTES",
    "DMQCACHE",
    "DMQCACHE_TAG",
    "KAMAILIO5",
    "KAMAILIO6",
    "KAMAILIO62",
    "MAX_BAD_CELLS",
    "MAX_BODY_BYTES",
    "MAX_CELL_BYTES",
    "Action",
    "Cell",
    "CellBatch",
    "Delete",
    "Dialect",
    "NumberCell",
    "Reason",
    "Remove",
    "Set",
    "SetExpire",
    "SyncRequest",
    "TextCell",
    "WireError",
    "carriable",
    "cell_bytes",
    "dialect_of",
    "join_cells",
    "read",
    "stricter",
    "write_cells",
    "write_delete",
    "write_expire",
    "write_set",
    "write_sync_request",
]
