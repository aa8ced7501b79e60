"""Publish and subscribe over all nodes: what clients publish, and DMQ channels that are theirs.

Read ``channels.py`` first: it is what the server for clients sees. ``pubsub_peer.py`` tells the other
dmqcache nodes what is published here, by a ``courier.py`` for each; ``bus_channel.py`` is a DMQ channel whose
messages go to subscribers, from Kamailio nodes too. Nothing here knows a loop or a client.
"""
