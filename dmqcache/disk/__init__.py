"""What outlives a full stop: the tables on disk, in one SQLite file in a folder of the node's own.

Owns the file (``file.py``), the thread that writes it (``writer.py``) and what is to be written
(``keeper.py``, read it first). Knows tables as names, keys and opaque rows; what a row says, and which of two
wins, is ``store.table``'s. Imports ``store.table`` only.
"""
