"""Other libraries' caches on a table: Django's (``django_cache.py``, read it first) and aiocache's
(``aiocache_cache.py``).

Each keeps its library's contract and owns nothing else; the program owns the node. Whoever uses one has the
library already, so dmqcache depends on none of them.
"""
