"""Who may come in to a node's servers, by its configuration: passwords, users, the unix socket.

Files are read when a server starts and when it is told to (SIGHUP); what is wrong in them is a ConfigError
that names the file and shows nothing of what is secret.
"""

from __future__ import annotations

from dmqcache.config.config import Config, ConfigError
from dmqcache.config.secrets import read_private
from dmqcache.server.resp.acl import AclError, Users
from dmqcache.server.resp.server import Doors
from dmqcache.server.resp.users import make_users


def doors_of(config: Config) -> Doors:
    """The doors of the server for clients."""
    return Doors(
        users=lambda: read_users(config),
        from_file=config.client_acl_file is not None,
        protected=not config.allow_open,
        path=config.client_socket,
    )


def read_users(config: Config) -> Users:
    """Who may do what. ConfigError."""
    password = None if config.client_password is None else config.client_password.read()
    path = config.client_acl_file
    text = None if path is None else read_private(path)
    try:
        return make_users(password, text)
    except AclError as error:
        raise ConfigError(f"{path}: {error}") from None
