"""The replicated tables: data, versions, what each node has still to be sent, sync and repair.

From the top down, each importing only what stands below it: the folders ``kamailio`` and ``native`` (they
talk with nodes of either kind and never know of each other), ``outbox`` (what is to be told), the file
``ground.py`` (what every part is handed), the folder ``table`` (the data and its versions). Nothing here
knows of asyncio, sockets or the system's clock.
Read first: ``store.py``, which puts the parts together.
"""
