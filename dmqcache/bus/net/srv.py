"""SRV records (RFC 2782): a name such as ``_sip._udp.example.org`` to hosts and ports.

Owns the question to the DNS; the system's own resolver knows addresses only. dnspython is loaded when the
first such name is met. Hosts become addresses in ``resolver.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dns.resolver import Resolver

#: Seconds for one name, all servers and tries together. As the system's resolver for an address.
LIFETIME_SECONDS: Final = 4.0
#: Records used of one name: a list of nodes that anybody may write is bounded.
MAX_RECORDS: Final = 64


def is_srv(host: str) -> bool:
    """Whether a host is the name of a service, not of a machine: ``_sip._udp.`` and so on."""
    service, _, rest = host.partition(".")
    return service.startswith("_") and rest.startswith("_")


def srv_lookup(host: str, resolver: Resolver | None = None) -> list[tuple[str, int]]:
    """The hosts and ports behind a service's name, best first. Blocks. OSError where there are none.
    ``resolver``: another one than /etc/resolv.conf describes, for tests."""
    import dns.exception
    import dns.resolver

    try:
        asked = resolver or dns.resolver.Resolver()
        records = list(asked.resolve(host, "SRV", lifetime=LIFETIME_SECONDS))
    except dns.exception.DNSException as error:
        raise OSError(f"no SRV records: {error}") from error
    records.sort(key=lambda record: (record.priority, -record.weight))
    found = [(record.target.to_text(omit_final_dot=True), record.port) for record in records[:MAX_RECORDS]]
    # RFC 2782: a target of "." says that there is no such service.
    return [(target, port) for target, port in found if target and target != "."]
