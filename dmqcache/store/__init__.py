"""The replicated tables: data, versions, what each node has still to be sent, sync and repair.

``table.py`` holds the data and its clock, ``version.py`` says which of two writes wins, ``outbox.py`` what
each remote node has still to be told. ``replica.py`` speaks with dmqcache nodes and ``htable.py`` with
Kamailio; ``store.py`` puts them together. Nothing here knows of asyncio, sockets or the wall clock.
"""
