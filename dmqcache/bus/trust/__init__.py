"""Whose word counts on the bus when its nodes share a key: signatures on requests and replies.

Owns the key's text form (``keys.py``), what of a message is signed (``meaning.py``), how and what it is worth
(``signature.py``), what tells a repeated message from a new one without clocks (``window.py``), what becomes
of a message (``guard.py``), and how other nodes stand (``standing.py``). May import ``bus.sip`` and the bus's
small common files. Read ``signature.py`` first, then ``guard.py``.
"""
