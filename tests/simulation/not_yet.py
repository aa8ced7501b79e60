"""What the simulation could find and does not judge yet: known, and being mended; each with its reason.

A line goes when the code is right. Nothing else in the simulation may be switched off.
"""

from __future__ import annotations

#: A node without notification addresses says ready while others have the state.
READY_WITHOUT_ADDRESSES = True
#: A Kamailio that answers late gives back what a FLUSHDB has taken away meanwhile.
KAMAILIO_UNDOES_FLUSHES = True
#: A key whose time is over, in a table without autoexpire, comes back from a Kamailio that kept it.
KAMAILIO_REVIVES_EXPIRED = True
