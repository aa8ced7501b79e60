"""The data of one node: cells, versions, tombstones, digests, and the rules by which two states become one.

Imports nothing above it, and of the bus only its clocks and timers. Who tells whom of a change is for the
rooms above. Read first: ``table.py``, then ``version.py``, which says which of two states wins.
"""
