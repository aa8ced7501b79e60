"""Hard input: what strangers may send, made from recorded messages by mutation, at every reader of bytes.

``targets.py`` has the readers and what each may answer, ``mutate.py`` makes inputs, ``__main__.py`` runs for
as long as one likes (``make fuzz MINUTES=60``), ``test_fuzz.py`` for seconds. Plain Python and a seed:
nothing further is needed, each Python that is supported will do, and a failure is found again by its number.
"""
