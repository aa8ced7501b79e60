"""The status page in a real Chromium: whole, split, a lost node, old figures; wide, on a phone, and dark.

First with a stand-in node whose state a test chooses, then with real nodes of which some are stopped.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from dmqcache.peers.presence_peer import PresencePeer
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.server.http.http_server import HttpServer
from tests.interop.browser import Browser
from tests.interop.daemon import wait_until
from tests.interop.process import DmqcacheProcess
from tests.server.served import Row, ServedNode, busy_node

pytestmark = pytest.mark.interop

HOST, PORT = "127.0.71.1", 9180
GREEN = {"light": "rgb(21, 105, 62)", "dark": "rgb(111, 211, 156)"}
#: Contrast that WCAG 2.1 wants of text.
READABLE = 4.5
REFRESHED_S = 30.0

CONTRAST = """
(() => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const found = channels(getComputedStyle(e).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
  };
  const bad = [];
  for (const e of document.querySelectorAll("h1,h2,p,dt,dd,th,td,.pill,.none,footer,a")) {
    if (!e.innerText.trim()) continue;
    const [a, b] = [light(channels(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < LIMIT) bad.push(e.innerText.slice(0, 40));
  }
  return bad;
})()
"""

WHOLE = (
    Row("sip:127.0.71.1:5060", local=True, last_seen_s=None, rtt_ms=None),
    Row("sip:127.0.71.2:5060"),
    Row("sip:127.0.71.3:5060", in_sync="behind", backlog=3),
    Row("sip:127.0.71.4:5060", software="kamailio (5.6.3 (x86_64/linux))"),
    Row("sip:[fd00::71:5]:5060;transport=tcp", "disabled", last_seen_s=40, in_sync="-", rtt_ms=None),
)
LOST = (
    *WHOLE[:3],
    Row("sip:127.0.71.4:5060", "timeout", lost_s=3725, in_sync="behind", backlog=120, rtt_ms=None),
)
SPLIT = (
    *WHOLE[:2],
    *(Row(f"sip:127.0.71.{i}:5060", "timeout", lost_s=120.0 + i, backlog=100_000) for i in (3, 4, 5)),
)


class Page:
    """The HTTP server of a stand-in node, on a loop of its own."""

    def __init__(self) -> None:
        self.node: ServedNode = busy_node()
        self.url = f"http://{HOST}:{PORT}/"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: HttpServer | None = None

    def serve(self) -> None:
        self._server = HttpServer(self.node, HOST, PORT, "0.1.0")
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(10)

    def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            asyncio.run_coroutine_threadsafe(server.close(), self._loop).result(10)

    def end(self) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page()
    try:
        page.serve()
        yield page
    finally:
        page.end()


WINDOWS = [(1280, False), (390, False), (1280, True), (390, True)]


@pytest.mark.parametrize(("width", "dark"), WINDOWS)
@pytest.mark.parametrize("rows", [WHOLE, LOST, SPLIT], ids=["whole", "lost", "split"])
def test_it_fits_and_can_be_read(
    browser: Browser, page: Page, rows: tuple[Row, ...], width: int, dark: bool
) -> None:
    page.node.rows = list(rows)
    browser.show(page.url, width, dark=dark)
    assert browser.overflow() == 0
    assert browser.ask(CONTRAST.replace("LIMIT", str(READABLE))) == []
    light = browser.style("body", "backgroundColor") == "rgb(246, 247, 249)"
    assert light is not dark


@pytest.mark.parametrize("width", [1280, 390])
def test_long_names_of_contacts_and_publications_are_broken(browser: Browser, page: Page, width: int) -> None:
    name, now = "x" * 200, int(time.time())
    contact = {"action": 1, "aor": name, "ruid": "u", "c": f"sip:{name * 3}@h", "last_modified": now}
    short = contact | {"aor": "a", "ruid": "v", "c": "sip:a@h", "user_agent": "Phone/198.18.100.100:506"}
    presentity = {"domain": "h", "user": name, "etag": name, "event": name, "expires": 600, "recv": now}
    for channel, said in (
        ("usrloc", contact | {"expires": now + 600}),
        ("usrloc", short | {"expires": now + 600}),
        ("presence", {"action": 1, "presentity": presentity, "body": "<presence/>"}),
    ):
        peer = page.node.peers[channel]
        assert isinstance(peer, UsrlocPeer | PresencePeer)
        peer.hear(json.dumps(said).encode(), now)
    browser.show(page.url, width)
    wider = "[...document.querySelectorAll('#ID .box')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert [browser.ask(wider.replace("ID", one)) for one in ("contacts", "presence")] == [0, 0]
    assert browser.text("#presence").count(name) == 4 and browser.text("#contacts").count(name) == 4
    # Next to a long one the others are no columns of single letters.
    lines = "(e => e.clientHeight / parseFloat(getComputedStyle(e).lineHeight))"
    cell = "[...document.querySelectorAll('#contacts td')].find(e => e.textContent.startsWith('Phone/'))"
    assert browser.ask(f"{lines}({cell})") < (3 if width > 640 else 4)


@pytest.mark.parametrize("dark", [False, True])
def test_whole_there_is_no_alarm_and_ready_is_green(browser: Browser, page: Page, dark: bool) -> None:
    page.node.rows = list(WHOLE)
    browser.show(page.url, dark=dark)
    assert browser.text("#alarm") == ""
    assert browser.text("#state") == "ready"
    assert browser.style("#state .pill", "color") == GREEN["dark" if dark else "light"]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_split_is_the_first_thing_that_is_seen_and_red(browser: Browser, page: Page, width: int) -> None:
    page.node.rows = list(SPLIT)
    browser.show(page.url, width)
    sentence = browser.text("#alarm")
    assert sentence.startswith(
        "This node sees 2 of 5 nodes; sip:127.0.71.3:5060, sip:127.0.71.4:5060 and sip:127.0.71.5:5060 "
        "are cut off since "
    )
    assert browser.style("#alarm", "color") == "rgb(179, 38, 30)"
    assert browser.ask("document.querySelector('#alarm').getBoundingClientRect().top") < 50
    assert browser.style("#state .pill", "color") != GREEN["light"]
    assert browser.ask("document.title").startswith("! ")


def test_a_lost_node_is_named_with_since_when(browser: Browser, page: Page) -> None:
    page.node.rows = list(LOST)
    browser.show(page.url)
    assert "sip:127.0.71.4:5060 is cut off since " in browser.text("#alarm")
    assert "(1 h 2 min)" in browser.text("#alarm")
    assert "lost for 1 h 2 min" in browser.text("table.stack")


@pytest.mark.parametrize("dark", [False, True])
def test_under_old_figures_nothing_is_green_until_the_node_answers_again(
    browser: Browser, page: Page, dark: bool
) -> None:
    page.node.rows = list(WHOLE)
    browser.show(page.url, dark=dark)
    page.close()
    browser.wait_for("document.body.className == 'old'", REFRESHED_S)
    assert "The figures below are old." in browser.text("#old")
    assert browser.ask("[...document.querySelectorAll('.pill')].map(e => getComputedStyle(e).color)") == [
        browser.style("#state .pill", "color")
    ] * browser.ask("document.querySelectorAll('.pill').length")
    assert browser.style("#state .pill", "color") not in GREEN.values()
    assert browser.style("main", "filter") == "grayscale(1)"
    assert browser.ask("getComputedStyle(document.querySelector('#state .pill'), '::before').content") == (
        '"was "'
    )
    page.serve()
    browser.wait_for("document.body.className == ''", REFRESHED_S)
    assert browser.style("#state .pill", "color") == GREEN["dark" if dark else "light"]
    assert browser.style("#old", "display") == "none"


@contextmanager
def three_nodes() -> Iterator[list[DmqcacheProcess]]:
    hosts = ["127.0.71.11", "127.0.71.12", "127.0.71.13"]
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                DmqcacheProcess(host, seeds=[f"sip:{seed}:5060" for seed in hosts if seed != host])
            )
            for host in hosts
        ]
        for node in nodes:
            node.wait_nodes([one.uri for one in nodes], 20)
            node.wait_ready()
        yield nodes


def test_real_nodes_that_are_stopped_go_on_and_leave(browser: Browser) -> None:
    with three_nodes() as (first, second, third):
        browser.show(f"http://{first.host}:9180/")
        assert browser.text("#alarm") == ""
        assert browser.style("#state .pill", "color") == GREEN["light"]

        # The page of another node is one click away.
        browser.ask("document.querySelector('td a').click()")
        browser.wait_for(f"document.querySelector('h1')?.innerText == '{second.uri}'")
        browser.show(f"http://{first.host}:9180/")

        second.daemon.freeze()
        third.daemon.freeze()
        sentence = f"This node sees 1 of 3 nodes; {second.uri} and {third.uri} are cut off since "
        try:
            browser.wait_for(
                f"document.querySelector('#alarm')?.innerText.startsWith({sentence!r})", REFRESHED_S
            )
            assert first.metric("dmqcache_node_lost_timestamp_seconds", node=second.uri) > 1e9
            assert first.metric("dmqcache_node_up", node=second.uri) == 0
        finally:
            second.daemon.thaw()
            third.daemon.thaw()
        browser.wait_for("!document.querySelector('#alarm')", REFRESHED_S)
        assert first.metric("dmqcache_node_lost_timestamp_seconds", node=second.uri) == 0

        # One that says goodbye is no loss.
        third.stop()
        wait_until(lambda: first.nodes().get(third.uri) != "active", 30, "the goodbye is heard")
        browser.wait_for("document.querySelector('main').innerText.includes('2 of 2')", REFRESHED_S)
        assert browser.text("#alarm") == ""
        labels = [dict(found) for found in first.metrics()["dmqcache_node_up"]]
        assert {"node": third.uri} not in labels
