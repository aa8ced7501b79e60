"""Bytes on sockets: UDP, TCP, the resolver of names and asyncio's clock.

The only room of the bus that does I/O. Owns sockets, connections, their limits and what a failure is called;
what a message says and what a failure means for a node, it does not know. May import ``bus.sip``,
``bus.trust`` and the bus's small common files; never ``bus.nodes`` or ``bus.exchange``. Read
``transport.py`` first.
"""
