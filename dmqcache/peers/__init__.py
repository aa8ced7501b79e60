"""What modules of Kamailio say on channels of their own, read and kept: calls and publications.

For each channel two pure files: its bodies (``dialog_wire.py``, ``presence_wire.py``), and what a message
makes of what is known (``dialog_call.py``, ``presentity.py``). ``json_fields.py`` has the limits of bodies.
"""
