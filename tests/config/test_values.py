"""Each kind of option: what is taken, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.config.addresses import HostPort
from dmqcache.config.option import ConfigError, Kind, Option
from dmqcache.config.secrets import Secret
from dmqcache.config.values import convert

NODE = NodeURI.parse("sip:10.0.0.1:5060")


def option(kind: Kind, **more: Any) -> Option:
    return Option("it", kind, "", "Help.", **more)


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("node", "10.0.0.1:5060", NODE),
        ("node_bytes", "10.0.0.1:5060=3000", (NODE, 3000)),
        ("node_source", "10.0.0.1:5060=[fd00::1]", (NODE, "fd00::1")),
        ("host_port", " [::1]:5 ", HostPort("::1", 5)),
        ("word", " x ", "x"),
        ("integer", "7", 7),
        ("integer", 7, 7),
        ("seconds", "1.5", 1.5),
        ("path", "/a", Path("/a")),
        ("secret", "/a", Secret(Path("/a"))),
        ("switch", "YES", True),
        ("switch", False, False),
    ],
)
def test_values(kind: Kind, raw: object, value: object) -> None:
    assert convert(option(kind), "--it", [raw]) == value
    assert convert(option(kind, repeat=True), "--it", [raw, raw]) == (value, value)


@pytest.mark.parametrize(
    ("kind", "raw", "said"),
    [
        ("node", "http://x", "is no node's address"),
        ("node_bytes", "10.0.0.1:5060", "is not a node's address and a number of bytes"),
        ("node_source", "10.0.0.1:5060", "is not a node's address and an IP address"),
        ("host_port", "", "is empty; 'off' means nowhere"),
        ("word", 5, "is not a text in quotes"),
        ("integer", True, "is not a whole number"),
        ("integer", "1.5", "is not a whole number"),
        ("seconds", "nan", "is not a number of seconds"),
        ("path", " ", "is empty; name a file"),
        ("secret", "", "is empty; name a file"),
        ("switch", "on", "is neither yes nor no"),
        ("table", "a=>b", "is no table, like"),
    ],
)
def test_what_is_none_is_said_with_its_source(kind: Kind, raw: object, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^--it: .*{said}"):
        convert(option(kind), "--it", [raw])


def test_limits_and_numbers_of_values() -> None:
    limited = option("integer", minimum=2, maximum=4, unit="keys")
    with pytest.raises(ConfigError, match="is less than the least, 2 keys"):
        convert(limited, "--it", [1])
    with pytest.raises(ConfigError, match="is more than the most, 4 keys"):
        convert(limited, "--it", [5])
    with pytest.raises(ConfigError, match="--it takes one value, not 2"):
        convert(limited, "--it", [3, 3])
    assert convert(option("host_port", optional=True), "--it", ["off"]) is None
    assert convert(option("path"), "default", []) is None
