"""A contact with ``xavps`` on a 6.1 beside a 5.6, which cannot say them: they are kept, and given back."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from secrets import token_hex
from typing import Any

import pytest

from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio
from tests.interop.kamailio_cfg import REGISTRAR
from tests.interop.releases import RELEASES

pytestmark = pytest.mark.interop

NET = "127.0.42."
TIMEOUT_S = 20.0
PARAMETERS = REGISTRAR + 'modparam("usrloc","xavp_contact","ulattrs")\n'
ROUTE = """
  if(is_method("REGISTER")) {
    $xavp(ulattrs=>limit) = 5; $xavp(ulattrs[0]=>plan) = "gold \\"plus\\""; save("location"); exit;
  }
  if(is_method("OPTIONS")) {
    lookup("location");
    $var(seen) = "plan " + $xavp(ulattrs=>plan) + " limit " + $xavp(ulattrs=>limit);
    sl_send_reply("200", "$var(seen)"); exit;
  }
"""


def looked_up(registrar: Kamailio, user: str) -> str:
    """What a script of the registrar sees beside a contact."""
    request = (
        f"OPTIONS sip:{user}@{registrar.host} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {registrar.host};rport;branch=z9hG4bK{token_hex(6)}\r\n"
        f"From: <sip:x@{registrar.host}>;tag=t\r\nTo: <sip:{user}@{registrar.host}>\r\n"
        f"Call-ID: {user}@look\r\n"
        "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(1.0)
        phone.sendto(request.encode(), (registrar.host, 5060))
        try:
            return phone.recv(65_535).decode().partition("\r\n")[0].removeprefix("SIP/2.0 200 ")
        except TimeoutError:
            return ""


@pytest.fixture
def bus() -> Iterator[tuple[DmqcacheNode, Kamailio, Kamailio]]:
    node = DmqcacheNode(f"{NET}11", extra=["--peer", "usrloc"])
    new = Kamailio(
        f"{NET}12", release=RELEASES["6.1"], seeds=[node.uri], extra_cfg=PARAMETERS, requests=ROUTE
    )
    old = Kamailio(f"{NET}13", release=RELEASES["5.6"], seeds=[node.uri], registrar=True)
    with ExitStack() as stack:
        for each in (node, new, old):
            stack.enter_context(each)
        for each in (new, old):
            each.wait_nodes([node.uri, new.uri, old.uri], TIMEOUT_S)
        yield node, new, old


def test_they_are_kept_beside_a_release_that_knows_none(
    bus: tuple[DmqcacheNode, Kamailio, Kamailio],
) -> None:
    node, new, old = bus

    def fields() -> dict[str, Any]:
        rows = list(node.contacts("alice").values())
        return dict(rows[0]["fields"]) if rows else {}

    def wait_for(registrar: Kamailio) -> None:
        wait_until(
            lambda: registrar.has_contact("alice"),
            TIMEOUT_S,
            lambda: f"the contact\n{registrar.diagnosis()}\n{node.diagnosis()}",
        )

    new.register("alice")
    wait_for(old)
    wait_until(lambda: "xavps" in fields(), TIMEOUT_S, node.diagnosis)
    first, seen = fields(), looked_up(new, "alice")
    assert seen == 'plan gold "plus" limit 5'
    # 5.6 begins anew, and gets it without them; when it is asked for all, it has none to tell.
    old.restart()
    wait_for(old)
    assert fields() == first
    new.restart()
    wait_for(new)
    wait_until(lambda: looked_up(new, "alice") == seen, TIMEOUT_S, new.diagnosis)
    assert fields() == first
