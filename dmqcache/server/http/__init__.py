"""HTTP: metrics, health, JSON-RPC as Kamailio's operators know it, the status page.

Read ``routes.py`` first. ``rpc.py`` is the protocol, ``rpc_methods.py`` what its methods do, ``page.py``
the page. Imports of the rest of the package tables, nodes' addresses and ``metrics``.
"""
