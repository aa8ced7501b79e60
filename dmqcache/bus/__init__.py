"""A bus of equal nodes that speak Kamailio's DMQ: who is there, and how a message reaches them.

It knows nothing of caches and could be published alone: consumers sit on it as peers (``peer.py``), each on
its own channel. The codec is ``uri``, ``headers``, ``message``, ``serialize`` and ``stream``; what happens to
a message, ``transaction`` and ``bus``; bytes on a socket, ``transport``. Nothing is imported here: take what
you need from its module.
"""
