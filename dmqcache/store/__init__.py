"""The replicated tables: data, versions, what each node has still to be sent, sync and repair.

Four rooms, each of which imports only what stands below it: ``kamailio`` and ``native`` (who talk with nodes
of either kind and never know of each other), ``outbox`` (what is to be told), ``ground`` (what every part is
handed), ``table`` (the data and its versions). Nothing here knows of asyncio, sockets or the wall clock.
Read first: ``store.py``, which puts the parts together.
"""
