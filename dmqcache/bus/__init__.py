"""A bus of equal nodes that speak Kamailio's DMQ: who is there, and how a message reaches them.

It knows nothing of caches and could be published alone: consumers sit on it as peers, each on its own
channel. Five rooms stand below the files of this folder: ``sip`` reads and writes messages, ``net`` carries
bytes, ``trust`` says whose word counts, ``exchange`` sees requests and answers through, ``nodes`` knows who
is there. ``net`` on the one side,
``exchange`` and ``nodes`` on the other never import each other: bytes and failures pass through ``bus.py``'s
constructor. May import the standard library only, and ``net/srv.py`` dnspython.

Read ``peer.py`` first to write a consumer, ``bus.py`` first to change the bus. A message that arrives takes
the way ``incoming.py``, ``exchange/answers.py``, ``delivery.py``, ``exchange/dispatch.py``; one that leaves,
``outgoing.py``, ``exchange/transaction.py``.
"""
