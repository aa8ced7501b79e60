"""The status page as a whole: what it shows, and that nothing in it can become markup."""

from __future__ import annotations

from dmqcache.server.http.page_parts import MAX_ROWS
from dmqcache.server.http.recent_warnings import Line
from tests.server.http.pages import WALL, outline
from tests.server.served import Progress, Row, ServedNode, busy_node


def test_what_an_operator_looks_for() -> None:
    text = outline(busy_node(), memory=123 << 20).text
    for wanted in (
        "sip:127.0.0.11:5060",
        "ready",
        "up 1 h 2 min",
        "kamailio (5.6.3 (x86_64/linux))",
        "users",
        "50%",
        "bad_json",
        "Unanswered on htable",
        "2 of 3",
        "123 MiB",
        "older",
    ):
        assert wanted in text


def test_a_node_alone_without_tables() -> None:
    node = ServedNode()
    node.tables.clear()
    del node.rows[1:]
    assert "No table is declared." in outline(node).text


def test_ready_is_green_as_long_as_no_node_is_lost() -> None:
    node = ServedNode()
    assert outline(node).classes["state"] == {"pill", "ok"}
    node.rows.append(Row("sip:127.0.0.13:5060", "timeout", lost_s=60))
    page = outline(node)
    assert page.classes["state"] == {"pill", "idle"}
    assert page.text.startswith("! sip:127.0.0.11:5060")


def test_a_full_node_says_so() -> None:
    node = ServedNode()
    assert "full" not in outline(node).by_id["state"]
    node.memory.full, node.memory.words = True, "memory is full: clients' writes are refused"
    page = outline(node)
    assert page.classes["state"] == {"pill", "idle", "bad"}
    assert "memory is full: clients' writes are refused" in page.by_id["state"]


def test_syncing_says_from_whom_and_how_far() -> None:
    node = ServedNode()
    node.ready, node.progress = False, Progress("receiving", 1200, "sip:127.0.0.12:5060")
    page = outline(node)
    assert page.by_id["state"].startswith("not ready")
    assert page.classes["state"] == {"pill", "warn"}
    assert "receiving from sip:127.0.0.12:5060, 1\u202f200 cells so far" in page.text


def test_recent_warnings_with_their_age() -> None:
    node = ServedNode()
    assert "None." in outline(node).by_id["warnings"]
    lines = (Line(WALL - 90, "warning", "HOST does not resolve"), Line(WALL - 7200, "error", "it failed"))
    page = outline(node, warnings=lines)
    assert "1 min 30 s agowarningHOST does not resolve" in page.by_id["warnings"]
    assert "2 h agoerrorit failed" in page.by_id["warnings"]
    assert {"warn", "bad"} <= page.classes["warnings"]


def test_names_never_become_markup() -> None:
    node = ServedNode()
    node.rows.append(Row('sip:"><script>a', status="<b>", software="<img src=x onerror=alert(1)>\udcff"))
    node.rows.append(Row("sip:<em>", status="timeout", lost_s=3))
    node.bus.counters.drops["<i>"] += 1
    node.bus.counters.messages["<u>", "in", "<u>"] += 1
    node.bus.counters.unknown_channels["<s>"] += 1
    node.counters.refused["<s>", "<s>"] += 1
    page = outline(node, warnings=(Line(WALL, "warning", "<h3>\x1b[31m\u202e"),))
    assert page.seen.count("script") == 1
    assert not {"img", "i", "em", "u", "s", "h3"} & set(page.seen)
    assert "<img src=x onerror=alert(1)>\\udcff" in page.text
    assert "<h3>\\x1b[31m\\u202e" in page.text


def test_a_forged_list_does_not_fill_the_page() -> None:
    node = ServedNode()
    node.rows += [Row(f"sip:10.0.0.{i}:{5060 + i}") for i in range(2000)]
    text = outline(node).text
    assert text.count("sip:10.0.0.") <= MAX_ROWS
    assert "and 1\u202f902 more" in text
