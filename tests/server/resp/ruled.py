"""A session whose server has users."""

from __future__ import annotations

from dmqcache.server.resp.session import Session
from dmqcache.server.resp.users import make_users
from tests.server.fakes import make_session

#: As Redis' ACL files have them.
USERS = """\
user default off
user admin on >top ~* &* +@all
user app on >app ~call-* +@all -@dangerous
user reader on >app %R~* +@read +@connection
user calls on >app ~* +@all table=users
"""


def ruled(text: str = USERS, password: str | None = None, name: str = "") -> Session:
    """A new connection to a server with these users, which has logged in as ``name``."""
    session = make_session()
    session.shared.users = make_users(password, text or None)
    session.reset()
    if name:
        session.become(session.shared.users.by_name[name])
    return session
