"""Who is there: how nodes are met, asked, watched, given up and told of.

Owns the list of nodes and all evidence about them. ``directory.py`` builds the parts and is all that others
see; the rules are ``membership.py``'s. May import ``bus.exchange`` (to ask), ``bus.sip`` and the bus's small
common files; never ``bus.net``. Read ``membership.py`` first, then ``directory.py``.
"""
