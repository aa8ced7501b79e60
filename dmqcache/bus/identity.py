"""What this node says of itself in every message, and what all messages of the bus have in common.

Owns the method's name, the largest message that can be sent and this start's own secrets. Which node a
message goes to is ``outgoing.py``'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dmqcache.bus.bus_settings import BusSettings
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.serialize import Author
from dmqcache.bus.sip.stream import MAX_STREAM_MESSAGE
from dmqcache.bus.sip.uri import NodeURI

#: The only method of the bus.
METHOD = "KDMQ"
#: Bytes that one IPv4 datagram can carry: 65,535 less 20 of IP and 8 of UDP.
MAX_UDP_BYTES = 65_507


def fits(size: int, transport: str) -> bool:
    """Whether a message of ``size`` bytes can be sent. Over a connection a node of this kind takes so much
    and no more: beyond it would close the connection and lose what else was on its way."""
    return size <= (MAX_UDP_BYTES if transport == "udp" else MAX_STREAM_MESSAGE)


@dataclass(frozen=True, slots=True)
class Identity:
    """One start of one node."""

    uri: NodeURI
    user_agent: str
    supported: tuple[str, ...]
    #: Drawn at each start, shown to all: it stands in our line of the node list.
    instance: str
    #: Drawn at each start: a Call-ID that begins so is our own.
    call_id_prefix: str
    tag: str
    #: Transport -> where answers over it reach us, as a Via has it; for others the server address.
    sent_by: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def drawn(cls, settings: BusSettings, runtime: Runtime) -> Identity:
        """That of a start: nobody can guess what is drawn for it."""
        return cls(
            settings.server_address,
            settings.user_agent,
            settings.supported,
            instance=runtime.token()[:8],
            call_id_prefix=f"{runtime.token()}-",
            tag=runtime.token(),
            sent_by=settings.sent_by(),
        )

    def showing(self, tags: Sequence[str]) -> Identity:
        """The same start, which shows these option tags too."""
        return replace(self, supported=tuple(dict.fromkeys((*self.supported, *tags))))

    @property
    def extra_headers(self) -> tuple[tuple[str, str], ...]:
        """``Supported``, or nothing."""
        return (("Supported", ", ".join(self.supported)),) if self.supported else ()

    def author(self, transport: str) -> Author:
        """What stands in each of our requests over a transport."""
        sent_by = self.sent_by.get(transport, self.uri.host_port)
        return Author(sent_by, self.tag, self.user_agent, self.extra_headers)
