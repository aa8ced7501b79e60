"""What a drop means to an operator: each reason's kind, which is a label of ``dmqcache_drops_total``.

Owns the sorting only. The bus counts a drop by its reason where it happens; docs/operations.md tells what
each reason is. A reason that is not listed here is a fault: better one alert too many than a silent loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class DropKind(StrEnum):
    """What is to be done about it."""

    #: Somebody must look: a message of a node was lost or refused, or this node is at its limit.
    FAULT = "fault"
    #: Another node is down. It is shown as lost, which has an alert of its own.
    NODE_DOWN = "node_down"
    #: Not meant for this node: other channels, other SIP methods, connections that say nothing.
    FOREIGN = "foreign"
    #: Belongs to SIP's everyday life.
    NORMAL = "normal"


_REASONS: Final[Mapping[DropKind, str]] = {
    DropKind.FAULT: """
        bad_content_length bad_cseq bad_from bad_header bad_signature bad_start_line bad_to bad_uri
        bad_version bad_via datagram_too_large duplicate_header head_too_large internal_error
        message_too_large
        missing_content_length missing_header node_line_bad node_line_unknown_status node_lines_too_many
        node_list_full not_sip own_address_claimed queue_full receive_error replay_evicted replayed
        reply_from_elsewhere reply_too_large sender_not_at_its_address sender_not_at_its_port
        sender_not_in_its_certificate tcp_backlog tcp_blocked tcp_error
        tcp_tls tcp_too_many tcp_unfinished tcp_unsupported tls_too_many tls_wrong_name
        to_self too_large too_many_headers
        too_many_lookups too_many_on_host too_many_strangers transport_unsupported truncated_body
        truncated_head udp_backlog udp_blocked
        udp_error udp_no_buffer udp_receive_buffer udp_too_large udp_unsupported
        unknown_key unresolved
        """,
    DropKind.NODE_DOWN: """
        icmp_unproven
        tcp_backoff tcp_closed tcp_refused tcp_reset tcp_timeout tcp_unreachable udp_refused
        udp_unreachable undeliverable
        """,
    DropKind.FOREIGN: """
        ack bad_extension method_not_allowed node_not_allowed not_allowed stray_reply tcp_idle tcp_silent
        tls_failed tls_too_slow
        unknown_channel unpaid unsigned
        """,
    DropKind.NORMAL: """
        closed keep_alive late_reply own_message transport_closed udp_keepalive
        """,
}

#: Reason -> kind, of every reason that the bus counts.
KINDS: Final[Mapping[str, DropKind]] = {
    reason: kind for kind, reasons in _REASONS.items() for reason in reasons.split()
}


def kind_of(reason: str) -> DropKind:
    """What a drop with this reason means."""
    return KINDS.get(reason, DropKind.FAULT)
