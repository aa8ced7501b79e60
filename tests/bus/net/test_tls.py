"""TLS files and certificates: what is loaded, what is said of what is not, whom a certificate speaks for."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path

import pytest
import trustme

from dmqcache.bus.net.tls import (
    FileOptions,
    TlsContexts,
    TlsError,
    TlsOptions,
    _decoded,
    covers,
    load,
    names,
    serving,
)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def written(ca: trustme.CA, folder: Path, *names: str) -> TlsOptions:
    certificate = ca.issue_cert(*names)
    options = TlsOptions(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(options.certificate)
    certificate.private_key_pem.write_to_path(options.key)
    ca.cert_pem.write_to_path(options.ca)
    return options


def shake_hands(client: TlsContexts, server: TlsContexts) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A whole handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.client.wrap_bio(to_client, to_server)
    there = server.server.wrap_bio(to_server, to_client, server_side=True)
    open_ends = [here, there]
    for _ in range(10):
        for end in list(open_ends):
            try:
                end.do_handshake()
                open_ends.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not open_ends
    # TLS 1.3: the client is done before the server has judged its certificate.
    there.write(b"x")
    assert here.read(1) == b"x"
    return here, there


def test_both_sides_show_their_certificates(ca: trustme.CA, tmp_path: Path) -> None:
    contexts = load(written(ca, tmp_path, "127.0.0.1", "node.example"))
    for end in shake_hands(contexts, contexts):
        assert covers(end.getpeercert(), "127.0.0.1")
        assert covers(end.getpeercert(), "node.example")
        assert not covers(end.getpeercert(), "127.0.0.2")


def test_a_certificate_of_another_ca_is_refused(ca: trustme.CA, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours, theirs = load(written(ca, tmp_path, "a")), load(written(trustme.CA(), tmp_path / "other", "b"))
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        shake_hands(ours, theirs)


def test_old_protocols_are_refused(ca: trustme.CA, tmp_path: Path) -> None:
    contexts = load(written(ca, tmp_path, "a"))
    assert contexts.server.minimum_version == contexts.client.minimum_version == ssl.TLSVersion.TLSv1_2


def test_when_our_certificate_expires_is_known(ca: trustme.CA, tmp_path: Path) -> None:
    options = written(ca, tmp_path, "a")
    issued = ca.issue_cert("a", not_after=datetime(2031, 5, 6))
    issued.cert_chain_pems[0].write_to_path(options.certificate)
    issued.private_key_pem.write_to_path(options.key)
    assert load(options).expires == 1_935_792_000.0


def test_what_is_wrong_with_our_certificate_is_told_in_words(ca: trustme.CA, tmp_path: Path) -> None:
    contexts = load(written(ca, tmp_path, "127.0.0.99", "node.example"))
    assert set(contexts.names) == {"127.0.0.99", "node.example"}
    assert contexts.faults("127.0.0.99", contexts.expires - 1) == ""
    assert "does not speak for its address 127.0.0.14, only for" in contexts.faults("127.0.0.14", 0)
    assert "127.0.0.99" in contexts.faults("127.0.0.14", 0)
    (late,) = contexts.faults("127.0.0.99", contexts.expires + 1).split("; ")
    assert late.startswith("this node's certificate expired at ")


def test_a_certificate_without_names_speaks_for_its_common_name(ca: trustme.CA, tmp_path: Path) -> None:
    options = written(ca, tmp_path, "a")
    # That of the CA has neither a subjectAltName nor a common name.
    ca.cert_pem.write_to_path(options.certificate)
    assert names(None) == []
    assert names({"subject": ((("commonName", "n"),),)}) == ["n"]
    assert names(_decoded(options.certificate)) == []


def test_what_is_missing_or_does_not_fit_is_one_line(ca: trustme.CA, tmp_path: Path) -> None:
    options = written(ca, tmp_path, "a")
    ca.issue_cert("b").private_key_pem.write_to_path(options.key)
    with pytest.raises(TlsError, match=r"^tls_key .*key.pem is not the key of tls_certificate .*cert.pem"):
        load(options)
    options.key.write_text("nonsense")
    with pytest.raises(TlsError, match=r"^tls_certificate .* and tls_key .*: not a certificate and its key"):
        load(options)
    options.key.unlink()
    with pytest.raises(TlsError, match=r"^tls_key .*key.pem: No such file"):
        load(options)


def test_a_ca_file_without_certificates_is_named(ca: trustme.CA, tmp_path: Path) -> None:
    options = written(ca, tmp_path, "a")
    options.ca.write_text("nothing")
    with pytest.raises(TlsError, match=r"^tls_ca .*ca.pem: no certificates"):
        load(options)


@pytest.mark.parametrize(
    ("names", "host", "answer"),
    [
        ((("DNS", "Node.Example"),), "node.example", True),
        ((("DNS", "*.example"),), "node.example", False),
        ((("IP Address", "0:0:0:0:0:0:0:1"),), "::1", True),
        ((("URI", "sip:node.example"),), "node.example", True),
        ((("URI", "sip:alice@node.example"),), "node.example", False),
        ((("URI", "nonsense"),), "nonsense", False),
        ((), "common.example", True),
        ((("DNS", "node.example"),), "common.example", False),
        ((), "other.example", False),
    ],
)
def test_a_certificate_covers_exactly_its_names(names: object, host: str, answer: bool) -> None:
    certificate = {"subject": ((("commonName", "common.example"),),), "subjectAltName": names}
    assert covers(certificate, host) is answer


def test_no_certificate_covers_nobody() -> None:
    assert not covers(None, "127.0.0.1")
    assert not covers({}, "127.0.0.1")


def test_a_server_for_clients_asks_for_certificates_where_a_ca_is_named(
    ca: trustme.CA, tmp_path: Path
) -> None:
    options = written(ca, tmp_path, "127.0.0.1")
    contexts = load(options)
    plain = serving(options.certificate, options.key)
    assert plain.verify_mode == ssl.CERT_NONE
    assert plain.minimum_version == ssl.TLSVersion.TLSv1_2
    here, there = shake_hands(contexts, TlsContexts(plain, contexts.client, 0))
    assert covers(here.getpeercert(), "127.0.0.1") and there.getpeercert() is None
    asking = serving(options.certificate, options.key, options.ca)
    _, there = shake_hands(contexts, TlsContexts(asking, contexts.client, 0))
    assert covers(there.getpeercert(), "127.0.0.1")
    with pytest.raises(TlsError, match="no certificates in PEM in it"):
        serving(options.certificate, options.key, options.key)
    named = FileOptions("client_tls_certificate", "client_tls_key", "client_tls_ca")
    with pytest.raises(TlsError, match=r"^client_tls_ca .*/none: No such file"):
        serving(options.certificate, options.key, tmp_path / "none", named)
