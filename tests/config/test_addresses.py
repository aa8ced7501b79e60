"""HOST:PORT, with IPv6 in brackets, and a reason for what is none."""

from __future__ import annotations

import pytest

from dmqcache.config.addresses import HostPort, parse_host_port


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:6380", "127.0.0.1", 6380),
        (" 127.0.0.1:6380\n", "127.0.0.1", 6380),
        ("localhost:0", "localhost", 0),
        ("node-1.example.org.:6380", "node-1.example.org.", 6380),
        ("b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example:6380", "b\xfccher.example", 6380),
        ("[fe80::1%eth0]:6380", "fe80::1%eth0", 6380),
        ("[::1]:65535", "::1", 65535),
        ("[2001:db8::7]:80", "2001:db8::7", 80),
    ],
)
def test_a_host_and_a_port(text: str, host: str, port: int) -> None:
    found = parse_host_port(text)
    assert found == (host, port)
    assert str(found) == text.strip()
    assert parse_host_port(str(found)) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be HOST:PORT"),
        ("localhost", "must be HOST:PORT"),
        (":6380", "must be HOST:PORT"),
        ("::1:6380", "must have an IPv6 address in brackets"),
        ("[::1:6380", "must have an IPv6 address in brackets"),
        ("localhost:", "must end in a port from 0 to 65535, not ''"),
        ("localhost:65536", "must end in a port from 0 to 65535, not '65536'"),
        ("localhost:-1", "must end in a port from 0 to 65535, not '-1'"),
        ("localhost:\N{ARABIC-INDIC DIGIT FIVE}", "must end in a port"),
        ("localhost:\N{SUPERSCRIPT TWO}", "must end in a port"),
        ("localhost:80/tcp", "must end in a port"),
        ("a..b:6380", "must have a host"),
        (".a:6380", "must have a host"),
        (".:6380", "must have a host"),
        ("a" * 70 + ":6380", "must have a host"),
        ("a\0b:6380", "must have a host"),
        ("a\udcffb:6380", "must have a host"),
    ],
)
def test_what_is_none_is_told_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        parse_host_port(text)


def test_an_address_of_ipv6_is_shown_in_brackets() -> None:
    assert str(HostPort("::1", 80)) == "[::1]:80"
    assert str(HostPort("10.0.0.1", 80)) == "10.0.0.1:80"
