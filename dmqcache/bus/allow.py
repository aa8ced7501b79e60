"""Who may speak on the bus at all: a list of addresses and networks, asked before a byte is parsed.

Owns the text form of an entry, the question and what names lead to. The same list in the kernel is
``net/packet_filter.py``'s; who turns a stranger away, and counts it, are the transports.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from dmqcache.bus.bounded import Bounded

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Hosts whose answer is remembered: the networks are searched once for each.
KNOWN_HOSTS: Final = 4096
#: Entries of one list, as a kernel's filter holds them (see ``net/packet_filter.py``).
MAX_ENTRIES: Final = 500
#: Characters of a name between two dots (RFC 1035 section 2.3.4).
MAX_LABEL: Final = 63


class AllowError(ValueError):
    """An entry that is neither an address, nor a network, nor a name; the text goes on after the entry
    and says what to write."""


def parse_entry(text: str) -> Network | str:
    """An address (``10.0.0.11``), a network (``10.0.0.0/24``, ``fd00::/8``), or a host name as it is."""
    entry = text.strip()
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        pass
    if "/" in entry:
        try:
            loose = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            raise AllowError("is no network; write 10.0.0.0/24 or fd00::/64") from None
        raise AllowError(f"has bits of a host; write {loose}")
    labels = entry.rstrip(".").split(".")
    if not all(
        0 < len(label) <= MAX_LABEL and label.replace("-", "").replace("_", "").isalnum() for label in labels
    ):
        raise AllowError("is no address, network or host name; write 10.0.0.11 or 10.0.0.0/24")
    if labels[-1].isdecimal():
        raise AllowError("is no address; write four numbers up to 255, as 10.0.0.11")
    return entry.rstrip(".").lower()


class AllowList:
    """The networks of one node's list. Without any entry everybody may speak."""

    def __init__(self, entries: Iterable[Network | str] = ()) -> None:
        fixed = list(entries)
        if len(fixed) > MAX_ENTRIES:
            raise AllowError(f"{len(fixed)} entries; {MAX_ENTRIES} are the most: write networks")
        self._fixed = tuple(entry for entry in fixed if not isinstance(entry, str))
        self.names = tuple(dict.fromkeys(entry for entry in fixed if isinstance(entry, str)))
        self._resolved: dict[str, tuple[Network, ...]] = {}
        self._answers: Bounded[str, bool] = Bounded(KNOWN_HOSTS)

    def __bool__(self) -> bool:
        return bool(self._fixed or self.names)

    def networks(self) -> Iterator[Network]:
        """All that may speak now, names included."""
        yield from self._fixed
        for found in self._resolved.values():
            yield from found

    def resolved(self, found: Mapping[str, Iterable[str]]) -> bool:
        """What names lead to now; whether that changes anything. A name without an answer keeps its last one:
        a DNS server that fails for a minute cuts nobody off."""
        before = dict(self._resolved)
        for name, hosts in found.items():
            addresses = [ip for host in hosts if (ip := _address(host)) is not None]
            if addresses and name in self.names:
                self._resolved[name] = tuple(ipaddress.ip_network(ip) for ip in sorted(addresses, key=str))
        if self._resolved == before:
            return False
        self._answers.clear()
        return True

    def allows(self, host: str) -> bool:
        """Whether who sends from this host, an IP address as the system spells it, may speak."""
        if not self:
            return True
        answer = self._answers.get(host)
        if answer is None:
            answer = self._answers[host] = self._search(host)
        return answer

    def _search(self, host: str) -> bool:
        ip = _address(host)
        return ip is not None and any(_within(ip, network) for network in self.networks())


def _address(host: str) -> IPAddress | None:
    """Without the interface of a link-local one, which no list names."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _within(ip: IPAddress, network: Network) -> bool:
    return ip.version == network.version and ip in network
