"""The Redis protocol: connections, requests, commands, replies.

Read ``connection.py`` first, then ``command_table.py`` and one of the ``commands_*.py``. ``parse.py`` and
``reply.py`` are the bytes, ``session.py`` is what one client is. Imports of the rest of the package only
tables and ``metrics.node_view``.
"""
