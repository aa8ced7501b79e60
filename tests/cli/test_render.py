"""What is printed for people, for pipes and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmqcache.cli import render

ROWS: list[dict[str, Any]] = [
    {"name": "a", "rtt_ms": 0.12345, "up": True, "left_s": None},
    {"name": "long\x1b[31m", "rtt_ms": 12.0, "up": False, "left_s": 3},
]


@pytest.fixture
def out(capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    return lambda: capsysbinary.readouterr().out.decode("utf-8", "surrogateescape")


def test_a_table_for_people_is_aligned_and_cannot_act_on_the_terminal(out: Any) -> None:
    render.table(ROWS, "people")
    assert out() == (
        "name          rtt (ms)  up   left (s)\n"
        "a                0.123  yes         -\n"
        "long\\x1b[31m        12  no          3\n"
    )


def test_a_table_for_a_pipe_has_tabs_and_no_title(out: Any) -> None:
    render.table(ROWS[:1], "plain")
    assert out() == "a\t0.123\tyes\t-\n"
    render.table([{"software": "x\x1b[2J\u202ey\tz"}], "plain")
    assert out() == "x\\x1b[2J\\u202ey\\tz\n"


def test_json_is_json(out: Any) -> None:
    render.table(ROWS, "json")
    assert json.loads(out()) == ROWS


def test_nothing_is_an_empty_table(out: Any) -> None:
    render.table([], "people")
    assert out() == ""


def test_a_value_for_a_pipe_is_its_bytes(out: Any) -> None:
    render.one_value("a\tb\n\x1b\udcff", "plain")
    assert out() == "a\tb\n\x1b\udcff\n"
    render.one_value("a\x1b\udcffä", "people")
    assert out() == "a\\x1b\\udcffä\n"


def test_an_entry_for_a_pipe_is_one_line(out: Any) -> None:
    render.one_line(("a\tb", "c\nd\\", None), "plain")
    assert out() == "a\\tb\tc\\nd\\\\\t\n"


def test_sections(out: Any) -> None:
    report = {"bus": {"drops": 1, "longer_name": "x"}, "empty": {}}
    render.sections(report, "people")
    assert out() == "bus\n  drops        1\n  longer_name  x\nempty\n"
    render.sections(report, "plain")
    assert out() == "bus.drops\t1\nbus.longer_name\tx\n"
    render.sections(report, "json")
    assert json.loads(out()) == report


def test_a_long_time_is_written_out(out: Any) -> None:
    render.table([{"last_seen_s": 12345.6}], "plain")
    assert out() == "12346\n"


def test_a_cell_for_people(out: Any) -> None:
    render.cell("a\x1b", "x", None)
    render.cell("n", -5, 1.5)
    render.cell("t", "x", 86400.4)
    assert out() == "a\\x1b = x\nn = -5  (expires in 1.5 s)\nt = x  (expires in 86400 s)\n"


def test_small_figures_are_readable(out: Any) -> None:
    render.table([{"a": 0.000646, "b": 0.0, "c": 12.345678}], "plain")
    assert out() == "0.001\t0.000\t12.3\n"
