"""SIP as bytes and as values: what RFC 3261 says of messages, and nothing of what they are for.

Owns reading (``head.py``, ``headers.py``, ``sip_message.py``), writing (``serialize.py``), addresses
(``uri.py``) and cutting a stream into messages (``stream.py``). Imports nothing but the standard library.
Read ``sip_message.py`` first.
"""
