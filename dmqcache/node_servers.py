"""The servers of one node: for Redis clients, and for HTTP.

Owns which there are by its configuration, and their life: opened, told to read their files again, closed.
Their modules are loaded only where they are asked for. Who may come in, ``client_doors.py`` says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from dmqcache.config.config import Config
from dmqcache.config.limits import room_for
from dmqcache.release import VERSION

if TYPE_CHECKING:
    from dmqcache.server.http.rpc_methods import ServedNode as HttpNode
    from dmqcache.server.resp.served_node import ServedNode as RespNode

    class ServedNode(RespNode, HttpNode, Protocol):
        """What both servers need of a node."""


log = logging.getLogger("dmqcache")


class NodeServers:
    """Opens, reloads and closes them."""

    def __init__(self, config: Config, certificate_read: Callable[[float], None]) -> None:
        """``certificate_read(expires)``: the certificate that the servers show was read; Unix seconds."""
        self._config = config
        self._certificate_read = certificate_read
        self._open: list[Any] = []
        #: A ``ServedTls``.
        self._tls: Any = None

    async def open(self, node: ServedNode) -> None:
        """Open all. ConfigError, or an OSError that names the address that is not to be had; what is open
        then, :meth:`close` closes."""
        config = self._config
        if config.client_tls_address or config.http_tls:
            from dmqcache.client_doors import tls_of

            self._tls = tls_of(config, self._certificate_read)
            self._tls.start()
        if config.has_clients:
            from dmqcache.client_doors import doors_of
            from dmqcache.server.resp.clients import MAX_CLIENTS
            from dmqcache.server.resp.server import RespServer

            server = RespServer(
                node,
                *(config.client_address or (None, 0)),
                max_clients=room_for(MAX_CLIENTS),
                max_value_bytes=config.max_value_bytes,
                doors=doors_of(config, self._tls),
                key_events=config.notify_keyspace_events or "",
            )
            await self._start(server, "client_address", config.client_address)
        elif config.client_acl_file is not None or config.client_password is not None:
            from dmqcache.client_doors import read_users

            read_users(config)  # what is wrong is told now, not when clients may come in one day
        if config.http_address is not None:
            from dmqcache.client_doors import http_doors_of
            from dmqcache.server.http.http_server import HttpServer

            http = HttpServer(node, *config.http_address, VERSION, http_doors_of(config, self._tls))
            await self._start(http, "http_address", config.http_address)
        elif config.http_token is not None:
            config.http_token.read()

        if config.rpc_socket is not None:
            from dmqcache.server.http.rpc_socket import RpcSocket

            await self._start(RpcSocket(node, config.rpc_socket, VERSION), "rpc_socket", config.rpc_socket)

    async def _start(self, server: Any, option: str, address: Any) -> None:
        try:
            await server.start()
        except OSError as error:
            where = error.filename or f"{option} {address}"
            raise OSError(f"{where}: {error.strerror or error}") from error
        self._open.append(server)

    def reload(self) -> None:
        """Read passwords, users, tokens and certificates again, now instead of soon."""
        if self._tls is not None:
            self._tls.ask()
        for server in self._open:
            try:
                server.reload()
            except ValueError as error:
                log.warning("what counted before goes on: %s", error)

    async def close(self) -> None:
        """Take no more clients, let answers under way end."""
        for server in reversed(self._open):
            await server.close()
        self._open.clear()
        if self._tls is not None:
            await self._tls.close()
            self._tls = None
