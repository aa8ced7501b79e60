"""HTTP: metrics, health, JSON-RPC as Kamailio's operators know it, the status page.

Read ``routes.py`` first; ``http_server.py`` serves it. ``rpc.py`` is the protocol, ``rpc_methods.py`` what
its methods do, ``page.py`` the page. Of the rest of the package it imports tables, nodes' addresses,
``metrics`` and what a database's failure is called.
"""
