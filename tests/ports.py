"""Ports of loopback that nobody listens on."""

from __future__ import annotations

import socket


def free_port(host: str, transport: str = "udp") -> int:
    """A port that is free now."""
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
