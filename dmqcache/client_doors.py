"""Who may come in to a node's servers, by its configuration: passwords, users, the unix socket, TLS.

Files are read when a server starts and when it is told to (SIGHUP); what is wrong in them is a ConfigError
that names the file and shows nothing of what is secret.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Generator
from typing import Final, cast

from dmqcache.bus.net.handshakes import Handshakes
from dmqcache.bus.net.tls import BUS_OPTIONS, FileOptions
from dmqcache.config.config import Config, ConfigError
from dmqcache.config.secrets import read_private
from dmqcache.served_tls import ServedFiles, ServedTls
from dmqcache.server.http.http_guard import HttpDoors, Protect, host_name
from dmqcache.server.resp.acl import AclError, Users, to_end
from dmqcache.server.resp.server import Doors
from dmqcache.server.resp.users import making_users

CLIENT_OPTIONS: Final = FileOptions("client_tls_certificate", "client_tls_key", "client_tls_ca")


def tls_of(config: Config, changed: Callable[[float], None]) -> ServedTls | None:
    """The certificate that the servers show; None where none of them speaks TLS. OSError says what is wrong
    with the files. ``changed``: see ``ServedTls``."""
    if config.client_tls_address is None and not config.http_tls:
        return None
    certificate = config.client_tls_certificate or config.tls_certificate
    key = config.client_tls_key or config.tls_key
    assert certificate is not None and key is not None  # config has seen to it
    named = BUS_OPTIONS if config.client_tls_certificate is None else CLIENT_OPTIONS
    files = ServedFiles(certificate, key, config.client_tls_ca, named._replace(ca=CLIENT_OPTIONS.ca))
    return ServedTls(files, changed)


def doors_of(config: Config, tls: ServedTls | None = None) -> Doors:
    """The doors of the server for clients."""
    return Doors(
        tls_address=config.client_tls_address,
        tls=None if tls is None else Handshakes(tls.clients),
        users=lambda: _reading_users(config),
        from_file=config.client_acl_file is not None,
        protected=not config.allow_open,
        path=config.client_socket,
    )


def read_users(config: Config) -> Users:
    """Who may do what. ConfigError."""
    return to_end(_reading_users(config))


def _reading_users(config: Config) -> Generator[None, None, Users]:
    password = None if config.client_password is None else config.client_password.read()
    path = config.client_acl_file
    text = None if path is None else read_private(path, "client_acl_file")
    try:
        return (yield from making_users(password, text))
    except AclError as error:
        raise ConfigError(f"client_acl_file {path}: {error}") from None


def http_doors_of(config: Config, tls: ServedTls | None = None) -> HttpDoors:
    """The doors of the HTTP server."""
    own = platform.node().lower()
    listened = config.http_address.host.lower() if config.http_address is not None else ""
    names = {own, own.partition(".")[0], listened, *(host_name(name) for name in config.http_hosts)}
    return HttpDoors(
        token=lambda: None if config.http_token is None else config.http_token.read(),
        protect=cast(Protect, config.http_protect),
        open=config.allow_open,
        names=frozenset(names - {""}),
        tls=Handshakes(tls.http) if tls is not None and config.http_tls else None,
    )
