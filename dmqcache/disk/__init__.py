"""What outlives a full stop: the tables on disk, in one SQLite file in a folder of the node's own.

Owns what is written when (``keeper.py``, read it first), the thread that writes it (``writer.py``), the file
(``file.py``) and the folder (``folder.py``). What a row says, ``store/table/kept.py`` knows; which of two
rows wins, ``store.table``. Imports ``store.table`` and the bus' ground only.
"""
