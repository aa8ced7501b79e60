"""What is said of a TLS handshake that fails, by each of the two sides."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from dmqcache.bus.net.handshake_words import is_about_trust, listed, words
from dmqcache.bus.net.tls import TlsContexts, TlsOptions, load

OURS, OTHERS = trustme.CA(), trustme.CA()
NOW = datetime.now(UTC)


def contexts(folder: Path, ca: trustme.CA, days: float = 30, trusts: trustme.CA = OURS) -> TlsContexts:
    folder.mkdir()
    options = TlsOptions(folder / "cert", folder / "key", folder / "ca")
    issued = ca.issue_cert("127.0.0.1", not_before=NOW - timedelta(60), not_after=NOW + timedelta(days))
    issued.cert_chain_pems[0].write_to_path(options.certificate)
    issued.private_key_pem.write_to_path(options.key)
    trusts.cert_pem.write_to_path(options.ca)
    return load(options)


def failures(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[ssl.SSLError | None, ...]:
    """How a handshake in memory ends for client and server; None: well."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    works: list[Callable[[], object]] = [lambda: here.read(1), lambda: there.read(1)]
    found: list[ssl.SSLError | None] = [None, None]
    for _ in range(10):
        for number, work in enumerate(works):
            try:
                if found[number] is None:
                    work()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                found[number] = error
    return tuple(found)


@pytest.mark.parametrize(
    ("client", "server", "here", "there"),
    [
        ({"ca": OTHERS}, {"ca": OURS}, "does not know the CA of this node", "CA that is not in tls_ca"),
        ({"ca": OURS}, {"ca": OTHERS}, "CA that is not in tls_ca", "does not know the CA of this node"),
        (
            {"ca": OURS, "days": -1},
            {"ca": OURS},
            "this node's certificate has expired",
            "its certificate has expired",
        ),
        (
            {"ca": OURS},
            {"ca": OURS, "days": -1},
            "its certificate has expired",
            "this node's certificate has expired",
        ),
    ],
)
def test_each_side_has_words_for_what_the_other_does_not_accept(
    tmp_path: Path, client: dict[str, object], server: dict[str, object], here: str, there: str
) -> None:
    one = contexts(tmp_path / "one", **client)  # type: ignore[arg-type]
    two = contexts(tmp_path / "two", **server)  # type: ignore[arg-type]
    ends = failures(one.client, two.server)
    for error, text in zip(ends, (here, there), strict=True):
        assert error is not None and text in words(error)
        assert is_about_trust(error)


def test_who_shows_no_certificate_and_who_speaks_no_tls(tmp_path: Path) -> None:
    server = contexts(tmp_path / "one", OURS).server
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    here, there = failures(bare, server)
    assert here is not None and words(here) == "it wants a certificate of this node"
    assert there is not None and words(there) == "it shows no certificate"
    data = ssl.MemoryBIO()
    data.write(b"OPTIONS sip:x SIP/2.0\r\n\r\n" * 20)
    with pytest.raises(ssl.SSLError) as failed:
        server.wrap_bio(data, ssl.MemoryBIO(), server_side=True).do_handshake()
    assert words(failed.value) == "it does not speak TLS"
    assert not is_about_trust(failed.value)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionResetError(), "the other side ended it before it was complete"),
        (ConnectionRefusedError(111, "Connection refused"), "[Errno 111] Connection refused"),
        (ssl.SSLError(1, "odd"), "TLS: "),
    ],
)
def test_words_are_never_missing(error: OSError, text: str) -> None:
    assert words(error).startswith(text)
    assert not is_about_trust(error) and not is_about_trust(None)


def test_names_of_a_certificate_are_one_short_line() -> None:
    assert listed([]) == "nobody"
    assert listed(["a", "b"]) == "a, b"
    assert listed(map(str, range(9))) == "0, 1, 2, 3, 4 and 4 more"
    assert listed(["a\nb"]) == "'a\\nb'"
