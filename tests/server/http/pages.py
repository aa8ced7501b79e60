"""A page of the stand-in node, rendered and read as a browser would read it."""

from __future__ import annotations

from html.parser import HTMLParser

from dmqcache.metrics.rates import Rates
from dmqcache.server.http.page import Moment, render
from dmqcache.server.http.recent_warnings import Line
from tests.server.served import ServedNode

#: Elements without an end.
VOID = {"meta", "link", "br"}
#: 2026-01-02 03:04:05 UTC.
WALL = 1_767_323_045.0


class Outline(HTMLParser):
    """Checks that elements are closed in order; keeps the text, and what stands within an element's id."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.by_id: dict[str, str] = {}
        self.classes: dict[str, set[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.seen.append(tag)
        if tag == "a":
            self.links.append(given.get("href") or "")
        if tag not in VOID:
            self.open.append((tag, given.get("id") or ""))
        for _, name in self.open:
            self.classes.setdefault(name, set()).update((given.get("class") or "").split())

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "
        for _, name in self.open:
            self.by_id[name] = self.by_id.get(name, "") + data


def outline(
    node: ServedNode,
    *,
    rates: Rates | None = None,
    warnings: tuple[Line, ...] = (),
    memory: int | None = None,
    http: tuple[str, int] | None = None,
) -> Outline:
    """The page of a node, read."""
    page = Outline()
    page.feed(render(node, Moment("0.1.0", WALL, 3725, rates or Rates(node), warnings, memory, http)))
    assert page.open == []
    return page
