"""What an operator may choose, checked before anything starts.

``options.py``, to be read first, has every option once (those of the servers for clients are in
``server_options.py``); ``config.py`` makes a ``Config`` of flags, environment and file, ``values.py`` each
value of its text. Beside them: peers by name, addresses, secrets, the system's limits, logs. May import the
small types of bus, store, channels and databases (addresses, peers, tables' declarations); not servers,
metrics or commands.
"""
