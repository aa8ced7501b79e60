"""How much memory a record takes, about: what bounds on bytes are counted in.

Pure. Owns what is counted for each type; what is counted and bounded is ``records.py``'s.
"""

from __future__ import annotations

from sys import getsizeof
from typing import Any, Final

#: An integer of up to eight bytes, or any other small object.
SMALL: Final = 32


def weight(value: Any) -> int:
    """The bytes of a text, an integer, a tuple, a dict by names or a slotted object, with all that is in it.
    What several hold together counts for each of them: so it is rather too much than too little."""
    kind = type(value)
    if kind is str:
        return getsizeof(value)
    if kind is int:
        return SMALL
    if kind is dict:
        total = getsizeof(value)
        for name, inner in value.items():
            total += getsizeof(name) + (getsizeof(inner) if type(inner) is str else weight(inner))
        return total
    if isinstance(value, tuple):
        return getsizeof(value) + sum(map(weight, value))
    slots = getattr(kind, "__slots__", ())
    return getsizeof(value) + sum(weight(getattr(value, name)) for name in slots)
