"""What is written becomes a value: each kind of option by its function, in one wording for every source.

The kinds are ``option.py``'s; what several options say together is looked at in ``config.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dmqcache.bus.allow import Network, parse_entry
from dmqcache.bus.sip.uri import NodeURI, URIError, is_ip, normal_host
from dmqcache.channels.naming import parse_channel
from dmqcache.config.addresses import HostPort, parse_host_port
from dmqcache.config.option import ConfigError, Option
from dmqcache.config.secrets import Secret
from dmqcache.database.db_url import DbUrl
from dmqcache.store.table.evicting import parse_size
from dmqcache.store.table.settings import TableSettings

#: An address that is switched off.
OFF = "off"
#: Letters of ``notify-keyspace-events``: what they mean, ``server/resp/key_events.py`` says.
KEY_EVENTS = frozenset("KEA$glshzxetdn")


def convert(option: Option, source: str, raw: Sequence[Any]) -> Any:
    """The value of an option as ``Config`` has it: a tuple where it may be repeated. ConfigError names the
    source."""
    if not option.repeat and len(raw) != 1 and source != "default":
        raise ConfigError(f"{source} takes one value, not {len(raw)}")
    values = []
    for one in raw:
        try:
            values.append(_CONVERT[option.kind](option, one))
        except (URIError, ValueError, TypeError) as error:
            shown = repr(one) if isinstance(one, str) else str(one)
            if option.kind == "database":
                shown = "the text"  # there may be a password in it
            raise ConfigError(f"{source}: {shown} {_reason(option, error)}") from None
    if option.repeat:
        return tuple(values)
    return values[0] if values else None


def _reason(option: Option, error: Exception) -> str:
    if option.kind == "node" and isinstance(error, URIError):
        return f"is no node's address, like sip:127.0.0.1:5060;transport=udp ({error})"
    if option.kind == "table":
        return f"is no table, like users=>autoexpire=3600 ({error})"
    return str(error)


def _node(option: Option, value: Any) -> NodeURI:
    return value if isinstance(value, NodeURI) else NodeURI.parse(_text(value))


def _host_port(option: Option, value: Any) -> HostPort | None:
    text = _text(value)
    if option.optional and text == OFF:
        return None
    if not text:
        raise ValueError(f"is empty; {OFF!r} means nowhere")
    return parse_host_port(text)


def _sources(option: Option, value: Any) -> Network | str:
    return parse_entry(_text(value))


def _path(option: Option, value: Any) -> Path:
    text = str(value) if isinstance(value, Path) else _text(value)
    if not text:
        raise ValueError("is empty; name a file or a folder")
    return Path(text)


def _database(option: Option, value: Any) -> DbUrl:
    return value if isinstance(value, DbUrl) else DbUrl.parse(_text(value))


def _secret(option: Option, value: Any) -> Secret:
    return value if isinstance(value, Secret) else Secret(_path(option, value), option=option.name)


def _switch(option: Option, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = _text(value).lower()
    if text not in ("yes", "no", "true", "false"):
        raise ValueError("is neither yes nor no")
    return text in ("yes", "true")


def _table(option: Option, value: Any) -> TableSettings:
    return TableSettings.parse(value if isinstance(value, dict) else _text(value))


def _word(option: Option, value: Any) -> str:
    return _text(value)


def _channel(option: Option, value: Any) -> tuple[str, str]:
    return parse_channel(_text(value))


def _key_events(option: Option, value: Any) -> str:
    text = _text(value)
    if not set(text) <= KEY_EVENTS:
        raise ValueError("is not made of Redis' letters KEA$glshzxetdn; KEA tells everything")
    return text


def _choice(option: Option, value: Any) -> str:
    text = _text(value).lower()
    if text not in option.choices:
        raise ValueError(f"is not one of {', '.join(option.choices)}")
    return text


def _integer(option: Option, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("is not a whole number")
    try:
        number = int(value)
    except ValueError:
        raise ValueError("is not a whole number") from None
    _check_range(option, number)
    return number


def _size(option: Option, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("is no number of bytes, like 104857600 or 100mb")
    return parse_size(str(value))


def _seconds(option: Option, value: Any) -> float:
    if hasattr(value, "total_seconds"):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("is not a number of seconds")
    try:
        number = float(value)
    except ValueError:
        raise ValueError("is not a number of seconds") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("is not a number of seconds")
    _check_range(option, number)
    return number


def _node_bytes(option: Option, value: Any) -> tuple[NodeURI, int]:
    address, found, number = _text(value).rpartition("=")
    if not found:
        raise ValueError("is not a node's address and a number of bytes, like sip:10.0.0.13:5060=60000")
    return _node(option, address), _integer(option, number)


def _node_source(option: Option, value: Any) -> tuple[NodeURI, str]:
    address, found, host = _text(value).rpartition("=")
    try:
        source = normal_host(host)
    except URIError:
        source = ""
    if not found or not is_ip(source):
        raise ValueError("is not a node's address and an IP address, like sip:10.0.0.13:5060=10.0.1.13")
    return _node(option, address), source


def _check_range(option: Option, number: float) -> None:
    unit = f" {option.unit}" if option.unit else ""
    if option.minimum is not None and number < option.minimum:
        raise ValueError(f"is less than the least, {option.minimum:.12g}{unit}")
    if option.maximum is not None and number > option.maximum:
        raise ValueError(f"is more than the most, {option.maximum:.12g}{unit}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a text in quotes")
    return value.strip()


_CONVERT: dict[str, Callable[[Option, Any], Any]] = {
    "node": _node,
    "node_bytes": _node_bytes,
    "node_source": _node_source,
    "host_port": _host_port,
    "table": _table,
    "word": _word,
    "choice": _choice,
    "integer": _integer,
    "size": _size,
    "seconds": _seconds,
    "sources": _sources,
    "path": _path,
    "database": _database,
    "secret": _secret,
    "switch": _switch,
    "channel": _channel,
    "key_events": _key_events,
}
