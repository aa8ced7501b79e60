"""How the outside reads and writes a node's tables: ``resp`` for Redis clients, ``http`` for operators.

The two do not import each other. Both see a node as ``metrics.node_view`` and a few more verbs, so they may
import ``metrics``, ``store`` and ``bus``, and never ``cache_node`` or ``cli``. Read ``resp/connection.py``
or ``http/routes.py`` first.
"""
