"""Each option reaches the part that it is for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from dmqcache.config.config import embedded
from dmqcache.node_settings import bus_settings, security, store_options
from dmqcache.release import SOFTWARE


def test_the_bus_gets_its_options_by_name() -> None:
    config = embedded(
        {
            "server_address": "sip:127.0.0.11:5060",
            "notification_address": ["sip:127.0.0.12:5060"],
            "known_channel": ["usrloc"],
            "ping_interval": 7,
            "num_workers": 3,
            "t1": 0.25,
            "probe_interval": 0.5,
        }
    )
    settings = bus_settings(config)
    assert settings.server_address == config.server_address
    assert settings.notification_addresses == config.notification_addresses != ()
    assert settings.known_channels == {"usrloc"}
    assert (settings.ping_interval, settings.num_workers) == (7, 3)
    assert (settings.t1, settings.t2, settings.probe_interval) == (0.25, config.t2, 0.5)
    assert settings.user_agent == SOFTWARE


def test_the_store_gets_its_options_by_name() -> None:
    config = embedded(
        {
            "server_address": "sip:127.0.0.11:5060",
            "outbox_limit": 1_000,
            "repair_interval": 11,
            "tombstone_ttl": 700,
            "tombstone_limit": 2_000,
            "max_value_bytes": 3_000,
            "join_wait": 4,
        }
    )
    for name, value in asdict(store_options(config)).items():
        if name != "kamailio_message_bytes":
            assert value == getattr(config, name), name
    assert store_options(config).outbox_limit == 1_000


def test_without_a_key_and_a_certificate_nobody_needs_any() -> None:
    found = security(embedded({"server_address": "sip:127.0.0.11:5060", "allow": ["192.0.2.0/24"]}))
    assert (found.tls, found.key) == (None, None)
    assert found.allow.allows("192.0.2.7") and not found.allow.allows("192.0.3.7")


def test_a_certificate_and_a_key_are_asked_for_as_strictly_as_is_wanted(tmp_path: Path) -> None:
    files = {name: str(tmp_path / name) for name in ("tls_certificate", "tls_key", "tls_ca", "bus_key_file")}
    for path in files.values():
        Path(path).write_text("x" * 64)
        Path(path).chmod(0o600)
    common = {"server_address": "sips:127.0.0.11:5061", **files}
    for word, strict in (("yes", True), ("no", False)):
        config = embedded({**common, "tls_require_certificate": word, "bus_key_require": word})
        found = security(config)
        assert found.tls is not None and found.key is not None
        assert (found.tls.require_certificate, found.key.required) == (strict, strict)
        assert (str(found.tls.certificate), str(found.key.file)) == (
            files["tls_certificate"],
            files["bus_key_file"],
        )
