"""What an operator may choose, checked before anything starts.

``options.py``, to be read first, has every option once; ``config.py`` makes a ``Config`` of flags,
environment and file; then peers by name, addresses, the system's limits, logs. May import the bus' and the
store's small types (addresses, peers, tables' declarations); not servers, metrics or commands.
"""
