"""What each remote node has still to be told, who waits for it, and what must stay here therefore.

Imports ``ground`` and ``table``; knows nodes and batches, and nothing of what a message looks like. Read
first: ``outbox.py``, one node's outbox; ``outboxes.py`` is all of them as one.
"""
