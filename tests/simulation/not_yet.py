"""What the simulation could find and does not judge yet: known, and being mended; each with its reason.

A line goes when the code is right. Nothing else in the simulation may be switched off.
"""

from __future__ import annotations

#: A node without notification addresses says ready while others have the state.
READY_WITHOUT_ADDRESSES = True
