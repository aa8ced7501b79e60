"""The configuration of one node: file < environment < flags, checked once, before anything starts.

Owns the typed :class:`Config` and the reading of its three sources. The options themselves, with their
defaults and help, stand in ``options.py``; how one value is read, in ``values.py``. Whatever is wrong becomes
a :class:`ConfigError`: one line that says where the value came from and what would be right.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from dmqcache.bus.allow import AllowList, Network
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.config.addresses import HostPort, parse_host_port
from dmqcache.config.options import BY_NAME, ENVIRONMENT_PREFIX, OPTIONS, ConfigError, Option
from dmqcache.config.secrets import Secret
from dmqcache.config.values import OFF, convert
from dmqcache.database.db_url import DbUrl
from dmqcache.store.table.db_fields import COLUMN
from dmqcache.store.table.settings import TableSettings

__all__ = ["Config", "ConfigError", "HostPort", "load", "parse_host_port"]

#: Names of the environment that are not options of ``serve``: those of the commands, and secrets themselves.
RESERVED_VARIABLES = frozenset(
    {
        *(ENVIRONMENT_PREFIX + name for name in ("NODE", "CONFIG", "CLIENT_USER")),
        *(option.secret_variable for option in OPTIONS if option.kind == "secret"),
    }
)
#: What Kubernetes sets in every container for a service whose name begins with ``dmqcache``.
KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$")
#: A variable that is this similar to an option's is likely to be a typing error.
SIMILAR = 0.85
#: Options that are named at most where there is none of a name.
NEAREST = 3
#: Options that a program may give by a second name, which says that there may be several.
PLURALS = {"tables": "table", "notification_addresses": "notification_address"}
#: Several values of one variable stand apart by white space or commas: neither occurs within one, but for
#: what stands in quotes.
VALUE = re.compile(r"""(?:'[^']*'|"[^"]*"|[^\s,])+""")


@dataclass(frozen=True, slots=True)
class Config:
    """What ``options.py`` describes, as typed values; the defaults are those of the options."""

    server_address: NodeURI
    notification_addresses: tuple[NodeURI, ...]
    notification_channel: str
    source_addresses: tuple[tuple[NodeURI, str], ...]
    known_channels: tuple[str, ...]
    listen_addresses: tuple[NodeURI, ...]
    aliases: tuple[NodeURI, ...]
    allow: tuple[Network | str, ...]
    bus_key_file: Path | None
    bus_key_require: str
    kamailio: tuple[Network | str, ...]
    tls_certificate: Path | None
    tls_key: Path | None
    tls_ca: Path | None
    tls_require_certificate: str
    tables: tuple[TableSettings, ...]
    client_address: HostPort | None
    client_socket: Path | None
    client_password: Secret | None
    client_acl_file: Path | None
    client_tls_address: HostPort | None
    client_tls_certificate: Path | None
    client_tls_key: Path | None
    client_tls_ca: Path | None
    allow_open: bool
    channels: tuple[tuple[str, str], ...]
    notify_keyspace_events: str | None
    rpc_socket: Path | None
    http_address: HostPort | None
    http_token: Secret | None
    http_protect: str
    http_hosts: tuple[str, ...]
    http_tls: bool
    ping_interval: float
    probe_interval: float
    remove_inactive: float
    num_workers: int
    t1: float
    t2: float
    peers: tuple[str, ...]
    max_value_bytes: int
    max_memory: int
    max_memory_policy: str
    kamailio_message_bytes: tuple[tuple[NodeURI, int], ...]
    outbox_limit: int
    repair_interval: float
    tombstone_ttl: float
    tombstone_limit: int
    join_wait: float
    stop_timeout: float
    data_dir: Path | None
    flush_interval: float
    db_url: DbUrl | None
    db_password: Secret | None
    key_name_column: str
    key_type_column: str
    value_type_column: str
    key_value_column: str
    expires_column: str
    array_size_suffix: str
    fetch_rows: int
    db_expires: bool
    log_level: str
    log_format: str
    #: What is odd and stops nothing: lines to be logged as warnings when the node starts.
    notes: tuple[str, ...] = field(default=(), compare=False)
    #: Where each value came from, for the log: option -> "default", "file", the variable or the flag.
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def has_clients(self) -> bool:
        """Whether Redis clients are served at all."""
        return bool(self.client_address or self.client_tls_address or self.client_socket)


def load(
    file: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    keywords: Mapping[str, Any] | None = None,
) -> Config:
    """Build the configuration. ``flags`` has option names; a flag that is None or empty was not given.
    ``keywords``: the same as arguments of a program, some of them in the plural.

    Raises :class:`ConfigError`, which names what is wrong as it was given.
    """
    given: dict[str, tuple[str, Sequence[Any]]] = {
        option.name: ("default", _default(option)) for option in OPTIONS
    }
    if file is not None:
        given |= {name: (f"{file}: {name}", value) for name, value in _from_file(Path(file)).items()}
    environ = environ or {}
    given |= {name: (BY_NAME[name].variable, value) for name, value in _from_environment(environ)}
    given |= {name: (BY_NAME[name].flag, value) for name, value in _from_flags(flags or {})}
    given |= _from_keywords(keywords or {})
    given |= _secrets_themselves(environ, given)
    values: dict[str, Any] = {}
    for option in OPTIONS:
        source, raw = given[option.name]
        values[option.attribute] = convert(option, source, raw)
    notes = tuple(_unknown_variables(environ))
    sources = {name: source for name, (source, _) in given.items()}
    config = Config(**values, notes=notes, sources=sources)
    _check_together(config)
    return config


def embedded(options: Mapping[str, Any]) -> Config:
    """The configuration of an embedded node: no servers unless asked for."""
    given = dict(options)
    for address in ("client_address", "http_address"):
        if given.get(address) is None:
            given[address] = OFF
    return load(keywords=given)


def _default(option: Option) -> Sequence[Any]:
    return (option.default,) if option.default else ()


def _from_file(path: Path) -> dict[str, Sequence[Any]]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"cannot read the configuration file {path}: {reason}") from None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    for name in content:
        if name not in BY_NAME:
            raise ConfigError(f"{path}: unknown option {name!r}{_nearest(name, BY_NAME)}")
    return {name: value if isinstance(value, list) else [value] for name, value in content.items()}


def _from_environment(environ: Mapping[str, str]) -> Iterable[tuple[str, Sequence[Any]]]:
    for option in OPTIONS:
        text = environ.get(option.variable, "")
        if text.strip():
            yield option.name, VALUE.findall(text) if option.repeat else [text]


def _secrets_themselves(
    environ: Mapping[str, str], given: Mapping[str, tuple[str, Sequence[Any]]]
) -> dict[str, tuple[str, Sequence[Any]]]:
    """Secrets that stand in the environment, where no file is named for them."""
    return {
        option.name: (option.secret_variable, [Secret(text=text)])
        for option in OPTIONS
        if option.kind == "secret"
        and (text := environ.get(option.secret_variable, ""))
        and not given[option.name][1]
    }


def _unknown_variables(environ: Mapping[str, str]) -> Iterable[str]:
    """A line for each variable that looks like one of ours and is none. It stops nothing: others may have set
    it for reasons of their own."""
    known = {option.variable for option in OPTIONS} | RESERVED_VARIABLES
    for variable in environ:
        if (
            variable.startswith(ENVIRONMENT_PREFIX)
            and variable not in known
            and not KUBERNETES.search(variable)
        ):
            near = difflib.get_close_matches(variable, known, 1, SIMILAR)
            hint = f"did you mean {near[0]}?" if near else "there is no such option"
            yield f"the variable {variable} is ignored; {hint}"


def _from_flags(flags: Mapping[str, Any]) -> Iterable[tuple[str, Sequence[Any]]]:
    for name, value in flags.items():
        if name not in BY_NAME:
            raise ConfigError(f"unknown option {name!r}{_nearest(name, BY_NAME)}")
        if value is None or value == [] or value == ():
            continue
        yield name, value if isinstance(value, list | tuple) and not isinstance(value, NodeURI) else [value]


def _from_keywords(keywords: Mapping[str, Any]) -> dict[str, tuple[str, Sequence[Any]]]:
    given: dict[str, tuple[str, Sequence[Any]]] = {}
    for keyword, value in keywords.items():
        name = PLURALS.get(keyword, keyword)
        if name not in BY_NAME:
            meant = _meant(keyword, [*BY_NAME, *PLURALS])
            raise ConfigError(f"unknown option {keyword!r}{f'; {meant}' if meant else ''}".rstrip())
        if name in given:
            raise ConfigError(f"{given[name][0]} and {keyword} are the same: give one of the two")
        given |= {name: (keyword, values) for name, values in _from_flags({name: value})}
    return given


def _nearest(name: str, names: Iterable[str]) -> str:
    return f"; {_meant(name, names)}'dmqcache serve --help' lists them all"


def _meant(name: str, names: Iterable[str]) -> str:
    """The question whether one of ``names`` was meant, or nothing."""
    bare, known = name.replace("-", "_").lower(), list(names)
    near = difflib.get_close_matches(bare, known, 1, SIMILAR)
    near = near or difflib.get_close_matches(bare, known, NEAREST)
    return f"did you mean {' or '.join(map(repr, near))}? " if near else ""


def _check_together(config: Config) -> None:
    """What no option can tell alone."""
    if config.t2 < config.t1:
        raise ConfigError(f"t2 ({config.t2:g} s) must not be less than t1 ({config.t1:g} s)")
    if not config.tables:
        raise ConfigError("no table is declared; leave the option out for one table named 'cache'")
    names = [table.name for table in config.tables]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"table {name!r} is declared {names.count(name)} times")
    if not _is_of_one_node(config.server_address.host):
        raise ConfigError(
            f"server_address {config.server_address} is no address that another node can reach; "
            "use listen_address for it and give the real one here"
        )
    _check_channels(config)
    _check_tls(config)
    _check_key(config)
    _check_allowed(config)
    _check_servers(config)
    _check_database(config)


def _is_of_one_node(host: str) -> bool:
    """Whether others can reach this node alone there: a name, or an address of one."""
    try:
        address = ip_address(host)
    except ValueError:
        return True
    return not (address.is_unspecified or address.is_multicast or host == "255.255.255.255")


def _check_database(config: Config) -> None:
    loaded = [table for table in config.tables if table.db is not None]
    if loaded and config.db_url is None:
        raise ConfigError(f"table {loaded[0].name!r} has a dbtable, and there is no database: add db_url")
    for name in ("key_name", "key_type", "value_type", "key_value", "expires"):
        column: str = getattr(config, f"{name}_column")
        if not COLUMN.fullmatch(column):
            raise ConfigError(f"{name}_column {column!r} is no column: use letters, digits and _ $ - only")


def _check_servers(config: Config) -> None:
    used: dict[HostPort, str] = {}
    for name in ("client_address", "client_tls_address", "http_address"):
        address: HostPort | None = getattr(config, name)
        if address is not None and address.port:
            if address in used:
                raise ConfigError(f"{used[address]} and {name} are both {address}")
            used[address] = name
    if (config.client_tls_certificate is None) != (config.client_tls_key is None):
        raise ConfigError("client_tls_certificate and client_tls_key go together: one of them is missing")
    if config.client_tls_certificate is None and config.tls_certificate is None:
        for name in ("client_tls_address", "http_tls"):
            if getattr(config, name):
                raise ConfigError(f"{name} needs client_tls_certificate and client_tls_key")
    if config.http_protect != "changes" and config.http_token is None:
        raise ConfigError(f"http_protect {config.http_protect} needs http_token_file")


def _check_channels(config: Config) -> None:
    names = [name for name, _ in config.channels]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"channel {name!r} is given {names.count(name)} times")
    if config.notification_channel in ("", "htable", "dmqcache"):
        raise ConfigError(f"notification_channel {config.notification_channel!r} is taken; leave it out")
    for uri in config.notification_addresses:
        if uri.host.startswith("_") and "._tcp." in uri.host and uri.transport == "udp":
            raise ConfigError(f"notification_address {uri}: add ;transport=tcp, as its SRV name says")


def _check_tls(config: Config) -> None:
    files = {
        "tls_certificate": config.tls_certificate,
        "tls_key": config.tls_key,
        "tls_ca": config.tls_ca,
    }
    missing = [name for name, path in files.items() if path is None]
    if missing and len(missing) < len(files):
        raise ConfigError(f"{', '.join(missing)} missing: certificate, key and CA go together")
    nodes = (config.server_address, *config.notification_addresses, *config.listen_addresses)
    over_tls = [uri for uri in nodes if uri.transport == "tls"]
    if missing and over_tls:
        raise ConfigError(f"{over_tls[0]}: TLS needs tls_certificate, tls_key and tls_ca")


def _check_key(config: Config) -> None:
    if config.bus_key_file is not None:
        AllowList(config.kamailio)
    elif config.kamailio:
        raise ConfigError("kamailio lists who needs no bus key, and there is none: add bus_key_file")


def _check_allowed(config: Config) -> None:
    listed = AllowList(config.allow)
    own = {config.server_address, *config.listen_addresses, *config.aliases}
    for uri in config.notification_addresses:
        if uri not in own and uri.endpoint is not None and not listed.allows(uri.host):
            raise ConfigError(f"notification_address {uri} is not on the allow list: add allow {uri.host}")
