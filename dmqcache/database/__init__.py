"""The databases that tables are loaded from and stored in, as Kamailio's htable has them (``dbtable``).

Owns when that is done and what follows (``node_database.py``, read it first), what a row means
(``layout.py``), where the database is (``db_url.py``), and how it is spoken to: SQLite by the standard
library (``sqlite_link.py``), others by SQLAlchemy (``sqlalchemy_link.py``), on a thread of its own
(``db_worker.py``). Imports ``store.table`` only.
"""
