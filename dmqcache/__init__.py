"""dmqcache: a masterless replicated key-value cache on Kamailio's DMQ bus."""

__version__ = "0.1.0"
