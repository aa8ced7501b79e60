"""How the outside reads and writes a node's tables: ``resp`` for Redis clients, ``http`` for operators.

The two do not import each other; ``unix_socket.py`` serves both. Both see a node as ``metrics.node_view``
does, and they may import ``metrics`` and ``store.table``, ``http`` also the addresses of nodes; never the
store itself, ``cache_node`` or ``cli``. Read ``resp/connection.py`` or ``http/routes.py`` first.
"""
