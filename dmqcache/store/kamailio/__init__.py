"""The ``htable`` channel: Kamailio nodes read, told, and looked after, as they repair nothing themselves.

Imports ``outbox``, ``ground`` and ``table``; never ``native``. Read first: ``htable.py``, what comes; then
``kamailio_courier.py``, what goes; ``compare.py``, when a Kamailio's tables are compared with ours.
"""
