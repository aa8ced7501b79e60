"""The Redis protocol: connections, requests, commands, replies.

Read ``connection.py`` first, then ``command_table.py`` and one of the ``commands_*.py``. ``parse.py`` and
``reply.py`` are the bytes, ``session.py`` is what one client is, ``acl.py`` has the users, ``permission.py``
what they may; ``contact_keys.py`` is the one database that is none of the node's tables. Of the rest of the
package it imports tables, ``metrics.node_view`` and ``peers``, and the small ``release`` and ``bus.bounded``.
"""
