"""The ``dmqcache`` channel: changes, comparisons and the initial sync among dmqcache nodes.

Imports ``outbox``, ``ground`` and ``table``; never ``kamailio``. Read first: ``replica.py``, what comes and
what is answered; then ``native_courier.py``, what goes, and ``repair_session.py``, how two nodes compare.
"""
