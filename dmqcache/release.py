"""Which dmqcache this is. Whoever tells it to others takes it from here; ``pyproject.toml`` says the same."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
#: What a node says of itself on the bus (``User-Agent``, ``Server``) and in lists.
SOFTWARE: Final = f"dmqcache ({VERSION})"
