"""Requests and answers: repeated until they are answered, answered once, handled in order.

Owns RFC 3261's transactions of both sides (``transaction.py``; ``answers.py`` with ``replay.py``), a message
on its way (``letter.py``) and the workers (``dispatch.py``). Which node an address belongs to, it
does not know. May import ``bus.sip``, ``bus.trust`` and the bus's small common files. Read
``transaction.py`` first.
"""
