"""What a node shows of itself, and what Prometheus is told.

Read ``exported.py`` first: one row for each metric. ``exposition.py`` writes them, ``node_view.py`` is what
servers and metrics see of a node. May import the store, tables, the disk's figures and the bus' nodes and
counters; never servers, ``cache_node`` or commands.
"""
