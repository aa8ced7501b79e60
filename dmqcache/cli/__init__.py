"""The commands of ``dmqcache``: what they take, print and end with. Nothing of the cache is decided here.

May import everything, but only within a function what a command needs beyond ``config.options`` and
``config.addresses``: ``dmqcache get`` loads a socket, hiredis and typer. Nobody imports this folder but
``__main__``. Read ``app.py`` first, then a ``commands_*.py``; ``client.py`` is how they speak with a node.
"""
