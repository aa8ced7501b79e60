"""Lines for people and for collectors."""

from __future__ import annotations

import io
import json
import logging

import pytest

from dmqcache.config import logs

pytestmark = pytest.mark.usefixtures("own_process")


def written(form: str, level: str = "info") -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    logs.setup(level, form, stream)
    return logging.getLogger("dmqcache.bus.bus"), stream


def test_a_text_line_has_time_level_place_and_facts() -> None:
    log, stream = written("text")
    log.warning("node %s is gone", "n1", extra={"missed": 3})
    line = stream.getvalue()
    assert line.endswith("Z warning bus.bus: node n1 is gone missed=3\n")
    assert line[4] == "-" and line[10] == "T"


def test_a_json_line_is_one_object_with_the_facts_as_fields() -> None:
    log, stream = written("json")
    log.info("hello\nworld", extra={"node": "n1", "odd": object})
    fields = json.loads(stream.getvalue())
    assert stream.getvalue().count("\n") == 1
    assert (fields["level"], fields["logger"], fields["message"]) == (
        "info",
        "dmqcache.bus.bus",
        "hello\nworld",
    )
    assert fields["node"] == "n1"


def test_what_came_from_the_wire_cannot_fake_a_line() -> None:
    log, stream = written("text")
    log.info("key %s", "x\n2026-01-01 error: all is lost \udcff")
    assert stream.getvalue().count("\n") == 1
    assert "\\n2026" in stream.getvalue()
    assert "\\udcff" in stream.getvalue()
    log.info("key %s", "\x1b[2J\u202e")
    assert stream.getvalue().endswith("key \\x1b[2J\\u202e\n")


@pytest.mark.parametrize("form", ["text", "json"])
def test_tracebacks_are_there(form: str) -> None:
    log, stream = written(form)
    try:
        raise ValueError("boom")
    except ValueError:
        log.exception("failed")
    assert "ValueError: boom" in stream.getvalue()


def test_the_level_holds_for_us_and_libraries_only_warn() -> None:
    log, stream = written("text", "error")
    log.warning("quiet")
    logging.getLogger("uvicorn").info("quiet too")
    assert stream.getvalue() == ""


def test_setting_up_again_replaces_what_was() -> None:
    _, first = written("text")
    log, second = written("text")
    log.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1
