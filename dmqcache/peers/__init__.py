"""What modules of Kamailio say on channels of their own, read and kept: contacts, calls, publications.

For each channel two pure files: its bodies (``usrloc_wire.py``, ``dialog_wire.py``, ``presence_wire.py``),
and what a message makes of what is known (``contact.py``, ``dialog_call.py``, ``presentity.py``); and its
peer. ``json_fields.py`` has the limits of bodies, ``records.py`` and ``mirror.py`` what peers have in common,
``record_changes.py`` what a program is told of it.
"""
