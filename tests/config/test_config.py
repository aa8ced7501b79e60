"""Three sources, one order, and one line for each thing that can be wrong."""

from __future__ import annotations

from dataclasses import MISSING, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.config.config import Config, ConfigError, HostPort, embedded, load, parse_host_port
from dmqcache.config.options import BY_NAME, OPTIONS
from dmqcache.config.secrets import Secret


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "dmqcache.toml"
    path.write_text(text, "utf-8")
    return path


def test_every_option_is_a_field_and_every_field_an_option() -> None:
    assert {option.attribute for option in OPTIONS} == {one.name for one in fields(Config)} - {
        "notes",
        "sources",
    }


def test_the_defaults_stand_in_the_options_alone() -> None:
    assert {one.name for one in fields(Config) if one.default is not MISSING} == {"notes"}


def test_without_anything_a_node_on_loopback_with_one_table() -> None:
    config = load()
    assert config.server_address == NodeURI.parse("sip:127.0.0.1:5060")
    assert [table.name for table in config.tables] == ["cache"]
    assert config.client_address == HostPort("127.0.0.1", 6380)
    assert config.http_address == HostPort("127.0.0.1", 9180)
    assert config.notification_addresses == ()
    assert config.ping_interval == 60


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = toml(tmp_path, 'num_workers = 3\nprobe_interval = 5\nlog_level = "error"')
    environ = {"DMQCACHE_NUM_WORKERS": "4", "DMQCACHE_PROBE_INTERVAL": "6"}
    config = load(file, environ, {"num_workers": "5", "probe_interval": None})
    assert (config.num_workers, config.probe_interval, config.log_level) == (5, 6, "error")
    assert config.sources["num_workers"] == "--num-workers"
    assert config.sources["probe_interval"] == "DMQCACHE_PROBE_INTERVAL"
    assert config.sources["log_level"] == f"{file}: log_level"
    assert config.sources["t1"] == "default"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tombstone_ttl": 30}, "tombstone_ttl: 30 is less than the least, 60 seconds"),
        ({"tables": ["users=>size"]}, "tables: 'users=>size' "),
        ({"t1": []}, None),
        ({"num_workers": [1, 2]}, "num_workers takes one value, not 2"),
        ({"table": "users", "tables": ["calls"]}, "table and tables are the same: give one of the two"),
        ({"tabels": ["users"]}, "unknown option 'tabels'; did you mean 'tables' or 'table'?"),
        ({"bogus": 1}, "unknown option 'bogus'"),
    ],
)
def test_a_program_is_told_of_its_arguments_as_it_gave_them(
    options: dict[str, Any], said: str | None
) -> None:
    if said is None:
        assert embedded(options) == embedded({})
        return
    with pytest.raises(ConfigError) as told:
        embedded(options)
    assert str(told.value).startswith(said)
    assert "--" not in str(told.value)


@pytest.mark.parametrize("name", ["num_workers", "server_address", "tls_key", "client_address", "t1"])
def test_an_empty_list_is_no_value(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} takes one value, not 0"):
        load(toml(tmp_path, f"{name} = []"))


@pytest.mark.parametrize("name", ["client_address", "http_address"])
def test_nowhere_is_said_and_not_left_empty(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="'' is empty; 'off' means nowhere"):
        load(flags={name: ""})
    with pytest.raises(ConfigError, match="'off' means nowhere"):
        load(toml(tmp_path, f'{name} = " "'))
    assert getattr(load(flags={name: "off"}), name) is None


@pytest.mark.parametrize("name", ["server_address", "notification_address"])
@pytest.mark.parametrize("address", ["sips:10.0.0.1", "sip:10.0.0.1:5061;transport=tls"])
def test_an_address_over_tls_needs_its_files(name: str, address: str) -> None:
    with pytest.raises(ConfigError, match="TLS needs tls_certificate, tls_key and tls_ca"):
        load(flags={name: address})
    files = {"tls_certificate": "cert.pem", "tls_key": "key.pem", "tls_ca": Path("ca.pem")}
    config = load(flags={name: address, **files})
    assert config.tls_certificate == Path("cert.pem")
    assert config.tls_ca == Path("ca.pem")


def test_files_of_tls_go_together() -> None:
    with pytest.raises(ConfigError, match="tls_key, tls_ca missing"):
        load(flags={"tls_certificate": "cert.pem"})
    with pytest.raises(ConfigError, match="--tls-key: ' ' is empty; name a file"):
        load(flags={"tls_key": " "})


def test_who_may_speak_is_a_list_of_addresses_networks_and_names() -> None:
    config = load(flags={"allow": ["10.0.0.0/24", "node.example"], "notification_address": "10.0.0.12"})
    assert [str(entry) for entry in config.allow] == ["10.0.0.0/24", "node.example"]
    with pytest.raises(ConfigError, match=r"write 10\.0\.0\.0/24"):
        load(flags={"allow": "10.0.0.1/24"})


def test_a_notification_address_that_may_not_speak_is_a_mistake() -> None:
    with pytest.raises(
        ConfigError, match=r"10\.0\.1\.12:5060 is not on the allow list: add allow 10\.0\.1\.12"
    ):
        load(flags={"allow": "10.0.0.0/24", "notification_address": "10.0.1.12"})


@pytest.mark.parametrize("option", ["server_address", "listen_address", "alias"])
def test_a_node_needs_no_leave_of_its_own_to_speak(option: str) -> None:
    both = {"allow": "10.0.0.12", "notification_address": ["10.0.0.11:5070", "10.0.0.12:5070"]}
    assert load(flags={"server_address": "10.0.0.10:5070", option: "10.0.0.11:5070", **both}).allow
    with pytest.raises(ConfigError, match=r"10\.0\.0\.11:5070 is not on the allow list"):
        load(flags={"server_address": "10.0.0.11:5060", **both})


@pytest.mark.parametrize("option", ["client_address", "client_tls_address", "http_address"])
def test_a_server_does_not_listen_at_a_name_that_no_machine_can_have(option: str) -> None:
    for host in ("a..b", ".", "a" * 70):
        with pytest.raises(ConfigError, match=f"{option.replace('_', '-')}: '{host}:80' must have a host"):
            load(flags={option: f"{host}:80"})


def test_an_unknown_name_among_the_flags() -> None:
    with pytest.raises(ConfigError, match="unknown option 'tabel'; did you mean 'table'"):
        load(flags={"tabel": "x"})


def test_lists_from_each_source(tmp_path: Path) -> None:
    file = toml(tmp_path, 'table = ["a", "b=>autoexpire=5"]\nnotification_address = "10.0.0.1:5060"')
    from_file = load(file)
    assert [table.name for table in from_file.tables] == ["a", "b"]
    assert from_file.tables[1].autoexpire == 5
    assert from_file.notification_addresses == (NodeURI.parse("sip:10.0.0.1:5060"),)
    environ = {"DMQCACHE_TABLE": "c d=>size=4;autoexpire=7,e"}
    assert [table.name for table in load(file, environ).tables] == ["c", "d", "e"]
    assert [table.name for table in load(file, environ, {"table": ["f", "g"]}).tables] == ["f", "g"]


def test_tables_declared_as_toml_tables(tmp_path: Path) -> None:
    file = toml(tmp_path, '[[table]]\nname = "users"\nautoexpire = 3600\nupdateexpire = false\n')
    (table,) = load(file).tables
    assert (table.name, table.autoexpire, table.updateexpire) == ("users", 3600, False)


def test_servers_can_be_switched_off() -> None:
    config = load(flags={"client_address": "off", "http_address": "off"})
    assert config.client_address is None
    assert config.http_address is None


def test_variables_of_others_are_left_alone() -> None:
    kubernetes = {
        "DMQCACHE_PORT": "tcp://10.0.0.1:5060",
        "DMQCACHE_PORT_5060_UDP": "udp://10.0.0.1:5060",
        "DMQCACHE_PORT_5060_UDP_ADDR": "10.0.0.1",
        "DMQCACHE_SERVICE_HOST": "10.0.0.1",
        "DMQCACHE_SERVICE_PORT_SIP": "5060",
        "DMQCACHE_LOG_PORT": "tcp://10.0.0.2:514",
    }
    ours = {"DMQCACHE_NODE": "x", "DMQCACHE_CONFIG": "y", "PATH": "z"}
    assert load(environ=kubernetes | ours).notes == ()


def test_an_empty_variable_is_none() -> None:
    assert load(environ={"DMQCACHE_T1": ""}).t1 == 0.5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("server_adress = 'x'", "unknown option 'server_adress'; did you mean 'server_address'?"),
        ("server-address = 'x'", "did you mean 'server_address'?"),
        ("zzzzzz = 1", "unknown option 'zzzzzz'; 'dmqcache serve --help' lists them all"),
        (
            "notify_address = 1",
            "; did you mean 'notification_address' or 'http_address' or 'source_address'? 'dmqcache serve",
        ),
        ("t1 = ", "is not valid TOML"),
        ("t1 = true", "t1: True is not a number of seconds"),
        ("t1 = 'soon'", "t1: 'soon' is not a number of seconds"),
        ("t1 = nan", "is not a number of seconds"),
        ("num_workers = 0", "num_workers: 0 is less than the least, 1"),
        ("num_workers = 1.5", "num_workers: 1.5 is not a whole number"),
        ("max_value_bytes = 99999999999", "is more than the most, 536870912 bytes"),
        ("log_level = 'loud'", "'loud' is not one of debug, info, warning, error"),
        ("log_level = ['info', 'info']", "log_level takes one value, not 2"),
        ("client_address = 6380", "client_address: 6380 is not a text in quotes"),
        ("client_address = 'localhost'", "must be HOST:PORT"),
        ("server_address = 'http://x'", "is no node's address, like sip:127.0.0.1:5060"),
        ("server_address = 'sip:0.0.0.0:5060'", "no address that another node can reach"),
        ("server_address = 'sip:224.0.0.1:5060'", "no address that another node can reach"),
        ("server_address = 'sip:255.255.255.255:5060'", "no address that another node can reach"),
        ("server_address = 'sip:[ff02::1]:5060'", "no address that another node can reach"),
        ("table = ['a', 'a=>autoexpire=1']", "table 'a' is declared 2 times"),
        ("table = []", "no table is declared"),
        ("table = ['a=>autoexpir=1']", "unknown field 'autoexpir'"),
        ("[[table]]\nautoexpire = 1", "a table has no name"),
        ("t1 = 5", "t2 (4 s) must not be less than t1 (5 s)"),
        ("client_address = '127.0.0.1:9180'", "client_address and http_address are both 127.0.0.1:9180"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_one_line(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(toml(tmp_path, content))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_variable_that_is_no_option_is_named_and_stops_nothing() -> None:
    config = load(
        environ={"DMQCACHE_SERVER_ADRESS": "sip:10.0.0.1", "DMQCACHE_T1": "1", "DMQCACHE_COLOUR": "red"}
    )
    assert config.notes == (
        "the variable DMQCACHE_SERVER_ADRESS is ignored; did you mean DMQCACHE_SERVER_ADDRESS?",
        "the variable DMQCACHE_COLOUR is ignored; there is no such option",
    )
    assert config.t1 == 1.0


def test_two_servers_may_both_take_any_port() -> None:
    config = load(flags={"client_address": "127.0.0.1:0", "http_address": "127.0.0.1:0"})
    assert config.client_address == config.http_address


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="it is not UTF-8"):
        load(binary)


@pytest.mark.parametrize("text", ["127.0.0.1:6380", "[::1]:0", "node.example:65535"])
def test_host_and_port_read_as_written(text: str) -> None:
    assert str(parse_host_port(text)) == text


@pytest.mark.parametrize("text", ["", ":1", "a", "a:", "a:b", "a:65536", "::1:5", "a:-1", "a:١"])
def test_what_is_no_host_and_port(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_host_port(text)


def test_help_tells_unit_default_choices_and_repetition() -> None:
    assert BY_NAME["t1"].full_help.endswith("(unit: seconds; default: 0.5)")
    assert "one of: text, json" in BY_NAME["log_format"].full_help
    assert BY_NAME["table"].full_help.endswith("(default: cache; may be repeated)")


def test_how_long_a_message_a_kamailio_receives() -> None:
    flags = {"kamailio_message_bytes": ["sip:10.0.0.13:5060=60000", "10.0.0.14=40000"]}
    assert load(flags=flags).kamailio_message_bytes == (
        (NodeURI("10.0.0.13"), 60_000),
        (NodeURI("10.0.0.14"), 40_000),
    )
    for wrong in ("60000", "sip:10.0.0.13", "sip:10.0.0.13=x", "sip:10.0.0.13=12", "=60000"):
        with pytest.raises(ConfigError, match="--kamailio-message-bytes"):
            load(flags={"kamailio_message_bytes": [wrong]})


def test_where_a_node_sends_from() -> None:
    flags = {"source_address": ["sip:10.0.0.13:5060=10.0.1.13", "kam.example=fd00:0::1"]}
    assert load(flags=flags).source_addresses == (
        (NodeURI("10.0.0.13"), "10.0.1.13"),
        (NodeURI("kam.example"), "fd00::1"),
    )
    for wrong in ("10.0.1.13", "sip:10.0.0.13=kam.example", "sip:10.0.0.13=", "=10.0.1.13"):
        with pytest.raises(ConfigError, match="--source-address"):
            load(flags={"source_address": [wrong]})


@pytest.mark.parametrize("channel", ["htable", "dmqcache"])
def test_the_channel_of_the_node_list_is_no_other_one(channel: str) -> None:
    assert load(flags={"notification_channel": "peers"}).notification_channel == "peers"
    with pytest.raises(ConfigError, match="is taken"):
        load(flags={"notification_channel": channel})


def test_the_transport_of_a_service_stands_in_the_address() -> None:
    load(flags={"notification_address": ["sip:_sip._udp.kam.example", "_sip._tcp.kam.example;transport=tcp"]})
    with pytest.raises(ConfigError, match="add ;transport=tcp"):
        load(flags={"notification_address": ["_sip._tcp.kam.example"]})


def test_a_secret_comes_from_a_file_or_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from the file\n")
    file.chmod(0o600)
    assert load().client_password is None
    named = {"DMQCACHE_CLIENT_PASSWORD_FILE": str(file)}
    itself = {"DMQCACHE_CLIENT_PASSWORD": "itself"}
    for config in (
        load(flags={"client_password_file": str(file)}),
        load(toml(tmp_path, f'client_password_file = "{file}"')),
        load(environ=named),
        load(environ=named | itself),
    ):
        assert config.client_password == Secret(file)
        assert config.client_password.read() == "from the file"
        assert config.notes == ()
    config = load(environ=itself)
    assert config.client_password == Secret(text="itself") and config.notes == ()
    assert config.sources["client_password_file"] == "DMQCACHE_CLIENT_PASSWORD"
    assert "itself" not in repr(config)


def test_a_switch(tmp_path: Path) -> None:
    assert load().allow_open is False
    assert load(flags={"allow_open": True}).allow_open
    assert load(environ={"DMQCACHE_ALLOW_OPEN": "Yes"}).allow_open
    assert load(toml(tmp_path, "allow_open = true")).allow_open
    with pytest.raises(ConfigError, match="allow_open: 'maybe' is neither yes nor no"):
        load(toml(tmp_path, 'allow_open = "maybe"'))


def test_servers_over_tls_need_their_files_and_addresses_of_their_own() -> None:
    flags = {"client_tls_address": "127.0.0.1:6390"}
    with pytest.raises(ConfigError, match="client_tls_address needs client_tls_certificate and"):
        load(flags=flags)
    own = {"client_tls_certificate": "cert.pem", "client_tls_key": "key.pem"}
    assert load(flags=flags | own).client_tls_address == HostPort("127.0.0.1", 6390)
    assert load(flags=flags | {"tls_certificate": "c", "tls_key": "k", "tls_ca": "a"}).client_tls_address
    with pytest.raises(ConfigError, match="one of them is missing"):
        load(flags=flags | {"client_tls_key": "key.pem"})
    with pytest.raises(ConfigError, match=r"client_address and client_tls_address are both 127\.0\.0\.1"):
        load(flags=own | {"client_tls_address": "127.0.0.1:6380"})


def test_what_http_needs_must_be_there() -> None:
    with pytest.raises(ConfigError, match="http_tls needs client_tls_certificate"):
        load(flags={"http_tls": True})
    with pytest.raises(ConfigError, match="http_protect all needs http_token_file"):
        load(flags={"http_protect": "all"})
    config = load(environ={"DMQCACHE_HTTP_TOKEN": "s3cret"}, flags={"http_protect": "all"})
    assert config.http_token == Secret(text="s3cret")


def test_who_needs_no_key_is_listed_beside_a_key() -> None:
    with pytest.raises(ConfigError, match="add bus_key_file"):
        load(flags={"kamailio": ["10.0.0.13"]})
    config = load(flags={"kamailio": ["10.0.0.13"], "bus_key_file": "bus.key"})
    assert config.bus_key_file == Path("bus.key") and config.bus_key_require == "yes"
    assert config.kamailio == (ip_network("10.0.0.13"),)
