"""The page's figures: rates and delays of the last minute, tables, and which drops need somebody."""

from __future__ import annotations

from dmqcache.metrics.rates import Rates
from dmqcache.server.http.page_figures import at_most
from dmqcache.store.table.store_counters import Histogram
from tests.server.http.pages import outline
from tests.server.served import ServedNode, busy_node


def test_rates_and_delays_are_those_of_the_last_minute() -> None:
    node = busy_node()  # what was counted before nobody sees any more
    rates = Rates(node)
    rates.look(0.0)
    node.counters.delay.observe(0.004, times=100)
    for _ in range(200):
        node.tables["users"].get("alice")
    node.bus.counters.messages["htable", "out", "request"] += 50
    rates.look(10.0)
    text = outline(node, rates=rates).text
    assert "Reads 20/s" in text
    assert "Writes 0/s" in text
    assert "Messages out 5.0/s" in text
    assert "Replication, 99% ≤ 5 ms" in text


def test_before_there_is_anything_to_compare_with_a_dash_is_shown() -> None:
    assert "Reads – Writes –" in outline(busy_node()).text


def test_drops_that_need_somebody_come_first_and_are_counted_on_top() -> None:
    node = ServedNode()
    node.bus.counters.drops.update(
        {"udp_keepalive": 900, "bad_via": 2, "undeliverable": 400, "queue_full": 3, "unknown_channel": 5}
    )
    text = outline(node).text
    assert "Drops to look at 5 " in text
    listed = text.partition(" Drops Reason")[2]
    order = ["queue_full", "bad_via", "undeliverable", "unknown_channel", "udp_keepalive"]
    assert sorted(order, key=listed.index) == order
    assert "undeliverable node is down 400" in listed


def test_what_cells_take_is_shown_where_they_have_a_bound() -> None:
    node = ServedNode()
    assert "Cells take" not in outline(node).text
    node.memory.limit, node.memory.used = 512 << 20, 100 << 20
    node.tables["users"].counters.evictions = 1234
    assert "Cells take 100 MiB of 512 MiB Evicted 1\u202f234" in outline(node).text


def test_counters_that_stand_at_0_are_not_listed() -> None:
    node = ServedNode()
    node.bus.counters.serve_channel("htable")
    node.bus.counters.drops["bad_via"] += 0
    text = outline(node).text
    assert "on htable" not in text
    assert "bad_via" not in text


def test_unknown_channels_are_named() -> None:
    node = ServedNode()
    node.bus.counters.unknown_channel("usrloc", from_node=True)
    assert "Nobody serves usrloc" in outline(node).text


def test_quantiles_are_as_exact_as_the_ranges() -> None:
    delay = Histogram((0.001, 1.0))
    assert at_most(delay, 0.5) == "–"
    delay.observe(0.0005, times=98)
    delay.observe(0.5)
    assert at_most(delay, 0.5) == "≤ 1 ms"
    assert at_most(delay, 0.99) == "≤ 1 s"
    delay.observe(30, times=100)
    assert at_most(delay, 0.99) == "> 1 s"
