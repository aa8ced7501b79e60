"""The Redis protocol: connections, requests, commands, replies.

Read ``connection.py`` first, then ``command_table.py`` and one of the ``commands_*.py``. ``parse.py`` and
``reply.py`` are the bytes, ``session.py`` is what one client is, ``acl.py`` has the users, ``permission.py``
what they may. Of the rest of the package it imports tables and ``metrics.node_view``, and
the small ``release`` and ``bus.bounded``.
"""
