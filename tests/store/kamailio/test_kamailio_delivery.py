"""A batch on its way to a Kamailio: which of its keys are unanswered, and which of its messages are not true
any more."""

from __future__ import annotations

from collections import deque

from dmqcache.store.kamailio.kamailio_delivery import Delivery
from dmqcache.store.kamailio.rounds import Message
from dmqcache.store.kamailio.said import what_is
from dmqcache.store.outbox.batch import Batch
from tests.store.harness import with_kamailio


def test_a_key_is_open_while_a_message_with_it_is_to_be_sent_or_answered() -> None:
    _, side, kamailio = with_kamailio()
    one, other = Message([(side.table, "a")]), Message([(side.table, "b")])
    delivery = Delivery(side.outbox(kamailio), Batch(), deque([deque([other])]))
    delivery.flying.append(one)
    assert delivery.is_open("t", "a") and delivery.is_open("t", "b")
    assert not delivery.is_open("t", "c") and not delivery.is_open("u", "a")
    delivery.cancel()
    assert not delivery.is_open("t", "a") and not delivery.is_open("t", "b")


def test_a_message_is_outdated_once_a_key_holds_something_else_than_was_said() -> None:
    _, side, kamailio = with_kamailio()
    side.table["a"] = "1"
    message = Message([(side.table, "a"), (side.table, "gone")])
    delivery = Delivery(side.outbox(kamailio), Batch(), deque())
    assert not delivery.is_outdated(message)  # Nothing was said yet.
    delivery.said = {("t", "a"): what_is(side.table.cells["a"]), ("t", "gone"): None}
    assert not delivery.is_outdated(message)
    side.table["a"] = "2"
    assert delivery.is_outdated(message)
    delivery.said["t", "a"] = what_is(side.table.cells["a"])
    side.table["gone"] = "back"
    assert delivery.is_outdated(message)
