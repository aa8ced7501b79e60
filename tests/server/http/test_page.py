"""The status page: what it shows, that nothing in it can become markup, and how numbers read."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from dmqcache.server.http.page import MAX_ROWS, at_most, duration, number, render
from dmqcache.store.table.store_counters import Histogram
from tests.server.served import Progress, Row, ServedNode, busy_node

#: Elements without an end.
VOID = {"meta", "link", "br"}


class Outline(HTMLParser):
    """Checks that elements are closed in order; keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def outline(node: ServedNode) -> Outline:
    page = Outline()
    page.feed(render(node, "0.1.0", 3725))
    assert page.open == []
    return page


def test_what_an_operator_looks_for() -> None:
    text = outline(busy_node()).text
    for wanted in (
        "sip:127.0.0.11:5060",
        "ready",
        "up 1 h 2 min",
        "kamailio (5.6.3 (x86_64/linux))",
        "users",
        "50%",
        "bad_json",
        "Unanswered on htable",
        "2 of 4",
        "≤ 1 ms",
        "older",
    ):
        assert wanted in text


def test_a_node_alone_without_tables() -> None:
    node = ServedNode()
    node.tables.clear()
    del node.rows[1:]
    assert "No table is declared." in outline(node).text


def test_syncing_says_from_whom_and_how_far() -> None:
    node = ServedNode()
    node.ready, node.progress = False, Progress("receiving", 1200, "sip:127.0.0.12:5060")
    text = outline(node).text
    assert "not ready" in text
    assert "receiving from sip:127.0.0.12:5060, 1\u202f200 cells so far" in text


def test_names_never_become_markup() -> None:
    node = ServedNode()
    node.rows.append(Row('sip:"><script>a', status="<b>", software="<img src=x onerror=alert(1)>\udcff"))
    node.bus.counters.drops["<i>"] += 1
    node.bus.counters.messages["<u>", "in", "<u>"] += 1
    node.counters.refused["<s>", "<s>"] += 1
    page = outline(node)
    assert page.seen.count("script") == 1
    assert not {"img", "i", "b", "u", "s"} & set(page.seen)
    assert "<img src=x onerror=alert(1)>\\udcff" in page.text


def test_a_forged_list_does_not_fill_the_page() -> None:
    node = ServedNode()
    node.rows += [Row(f"sip:10.0.0.{i}:{5060 + i}") for i in range(2000)]
    text = outline(node).text
    assert text.count("sip:10.0.0.") <= MAX_ROWS
    assert "and 1\u202f902 more" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3659, "1 h"),
        (7260, "2 h 1 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_number() -> None:
    assert number(1234567) == "1\u202f234\u202f567"


def test_quantiles_are_as_exact_as_the_ranges() -> None:
    delay = Histogram((0.001, 1.0))
    assert at_most(delay, 0.5) == "–"
    delay.observe(0.0005, times=98)
    delay.observe(0.5)
    assert at_most(delay, 0.5) == "≤ 1 ms"
    assert at_most(delay, 0.99) == "≤ 1 s"
    delay.observe(30, times=100)
    assert at_most(delay, 0.99) == "> 1 s"
