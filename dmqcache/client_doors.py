"""Who may come in to a node's servers, by its configuration: passwords, users, the unix socket, TLS.

Files are read when a server starts and when it is told to (SIGHUP); what is wrong in them is a ConfigError
that names the file and shows nothing of what is secret.
"""

from __future__ import annotations

from collections.abc import Callable

from dmqcache.config.config import Config, ConfigError
from dmqcache.config.secrets import read_private
from dmqcache.served_tls import ServedFiles, ServedTls
from dmqcache.server.resp.acl import AclError, Users
from dmqcache.server.resp.server import Doors
from dmqcache.server.resp.users import make_users


def tls_of(config: Config, changed: Callable[[float], None]) -> ServedTls | None:
    """The certificate that the servers show; None where none of them speaks TLS. OSError says what is wrong
    with the files. ``changed``: see ``ServedTls``."""
    if config.client_tls_address is None:
        return None
    certificate = config.client_tls_certificate or config.tls_certificate
    key = config.client_tls_key or config.tls_key
    assert certificate is not None and key is not None  # config has seen to it
    return ServedTls(ServedFiles(certificate, key, config.client_tls_ca), changed)


def doors_of(config: Config, tls: ServedTls | None = None) -> Doors:
    """The doors of the server for clients."""
    return Doors(
        tls_address=config.client_tls_address,
        tls=None if tls is None else tls.clients,
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
