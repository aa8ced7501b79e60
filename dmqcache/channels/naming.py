"""Names of DMQ channels that clients may use, and of the content types of their messages.

Both go into the head of a SIP message: nothing that could end a header may be in them.
"""

from __future__ import annotations

import re
from typing import Final

#: What a message has whose sender says nothing (Kamailio's examples have it too).
TEXT: Final = "text/plain"
#: What the names begin with under which clients subscribe and publish.
PREFIX: Final = "dmq:"

_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_TYPE: Final = re.compile(
    r"[A-Za-z0-9!#$&^_.+\-]{1,64}/[A-Za-z0-9!#$&^_.+\-]{1,64}(;[A-Za-z0-9_.=\-]{1,64})?"
)


def checked_name(name: str) -> str:
    """The name of a channel. ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError("is no channel: up to 64 letters, digits, '_', '.' and '-'")
    return name


def checked_type(content_type: str) -> str:
    """A content type. ValueError."""
    if not _TYPE.fullmatch(content_type):
        raise ValueError(f"is no content type like {TEXT}")
    return content_type


def parse_channel(text: str) -> tuple[str, str]:
    """Name and content type of ``NAME[=content/type]``. ValueError."""
    name, found, content_type = text.partition("=")
    return checked_name(name), checked_type(content_type) if found else TEXT
