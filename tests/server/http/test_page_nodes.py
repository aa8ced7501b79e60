"""The nodes on the page: the red sentence about lost ones, the list, and the links to the others' pages."""

from __future__ import annotations

import pytest

from dmqcache.bus.node import Trouble
from dmqcache.server.http.page_nodes import MAX_GROUPS, page_of
from tests.server.http.pages import outline
from tests.server.served import Row, ServedNode


def with_rows(*rows: Row) -> ServedNode:
    node = ServedNode()
    node.rows[1:] = rows
    return node


def test_a_split_is_one_red_sentence_on_top() -> None:
    node = with_rows(
        Row("sip:10.0.0.2:5060"),
        Row("sip:10.0.0.3:5060", "timeout", lost_s=125),
        Row("sip:10.0.0.4:5060", "pending", lost_s=124),
        Row("sip:10.0.0.5:5060", "timeout", lost_s=123.5),
    )
    page = outline(node)
    assert page.by_id["alarm"].startswith(
        "This node sees 2 of 5 nodes; sip:10.0.0.3:5060, sip:10.0.0.4:5060 and sip:10.0.0.5:5060 "
        "are cut off since 03:02:00 UTC (2 min 5 s)."
    )
    assert "bad" in page.classes[""], "the sentence is red"
    assert page.text.index("This node sees") < page.text.index("ready")
    assert page.text.count("lost for 2 min") == 0
    assert page.text.count("lost") == 3


def test_nodes_that_were_lost_at_different_times_are_told_apart() -> None:
    node = with_rows(
        Row("sip:10.0.0.3:5060", "timeout", lost_s=7200),
        Row("sip:10.0.0.4:5060", "timeout", lost_s=60),
    )
    sentence = outline(node).by_id["alarm"]
    assert "sip:10.0.0.3:5060 is cut off since 01:04:05 UTC (2 h);" in sentence
    assert "sip:10.0.0.4:5060 is cut off since 03:03:05 UTC (1 min)." in sentence


def test_many_lost_nodes_do_not_fill_the_screen() -> None:
    rows = [Row(f"sip:10.0.0.{i}:5060", "timeout", lost_s=60.0 * i) for i in range(50)]
    sentence = outline(with_rows(*rows)).by_id["alarm"]
    assert sentence.count("cut off") == MAX_GROUPS
    rows = [Row(f"sip:10.0.0.{i}:5060", "timeout", lost_s=60.0) for i in range(50)]
    sentence = outline(with_rows(*rows)).by_id["alarm"]
    assert sentence.count("sip:10.0.0.") == 5
    assert "and 45 more are cut off" in sentence


def test_a_node_that_is_deaf_one_way_says_so_beside_its_status() -> None:
    trouble = {Trouble.SENDS_FROM_ELSEWHERE: "sends from 10.0.0.99: what is written there is refused here"}
    page = outline(with_rows(Row("sip:10.0.0.2:5060", troubles=trouble)))
    assert trouble[Trouble.SENDS_FROM_ELSEWHERE] in page.text and page.text.count("lost") == 0


def test_who_left_politely_or_never_answered_is_no_loss() -> None:
    node = with_rows(
        Row("sip:10.0.0.2:5060"), Row("sip:10.0.0.3:5060", "disabled"), Row("sip:10.0.0.4:5060", "pending")
    )
    page = outline(node)
    assert "alarm" not in page.by_id
    assert "2 of 2" in page.text
    assert page.classes["state"] == {"pill", "ok"}


def test_the_lost_ones_are_listed_before_the_others() -> None:
    node = with_rows(Row("sip:10.0.0.2:5060"), Row("sip:10.0.0.9:5060", "timeout", lost_s=5))
    listed = outline(node).text.partition("Software")[2]
    assert listed.index("10.0.0.9") < listed.index("10.0.0.2")


OWN = "sip:10.0.0.1:5060"


@pytest.mark.parametrize(
    ("row", "http", "page"),
    [
        (Row("sip:10.0.0.2:5060"), ("10.0.0.1", 9180), "http://10.0.0.2:9180/"),
        (Row("sip:10.0.0.2:5070;transport=tcp"), ("0.0.0.0", 80), "http://10.0.0.2:80/"),
        (Row("sip:[fd00::2]:5060"), ("::", 9180), "http://[fd00::2]:9180/"),
        # Not known where this page is served; a Kamailio; this node; another port of this machine.
        (Row("sip:10.0.0.2:5060"), None, ""),
        (Row("sip:10.0.0.2:5060", software="kamailio (5.6.3)"), ("10.0.0.1", 9180), ""),
        (Row("sip:10.0.0.2:5060", local=True), ("10.0.0.1", 9180), ""),
        (Row("sip:10.0.0.1:5070"), ("10.0.0.1", 9180), ""),
        # Served on loopback here: no doubt there as well.
        (Row("sip:10.0.0.2:5060"), ("127.0.0.1", 9180), ""),
        (Row("sip:127.0.0.12:5060"), ("127.0.0.11", 9180), "http://127.0.0.12:9180/"),
    ],
)
def test_where_another_page_should_be(row: Row, http: tuple[str, int] | None, page: str) -> None:
    assert page_of(row, OWN, http) == page


def test_the_list_links_to_the_other_pages() -> None:
    node = with_rows(Row("sip:127.0.0.12:5060"), Row("sip:127.0.0.13:5060", software="kamailio (5.6.3)"))
    assert outline(node, http=("127.0.0.11", 9180)).links == ["http://127.0.0.12:9180/", "/metrics"]
