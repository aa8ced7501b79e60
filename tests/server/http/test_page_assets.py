"""The page's style and script: allowed by their own hashes, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import re

from dmqcache.metrics.rates import Rates
from dmqcache.server.http.page import Moment, render
from dmqcache.server.http.page_assets import SCRIPT, SECURITY_POLICY, STYLE
from tests.server.http.pages import WALL
from tests.server.served import ServedNode


def shown() -> str:
    node = ServedNode()
    return render(node, Moment("0.1.0", WALL, 3725, Rates(node)))


def inline(page: str, tag: str) -> list[str]:
    return re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, re.DOTALL)


def source(text: str) -> str:
    """As a browser works it out from what stands in the page."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def directives() -> dict[str, list[str]]:
    found = {}
    for directive in SECURITY_POLICY.split(";"):
        name, *values = directive.split()
        found[name] = values
    return found


def test_the_policy_allows_what_stands_in_the_page_and_nothing_else() -> None:
    page = shown()
    (style,), (script,) = inline(page, "style"), inline(page, "script")
    policy = directives()
    assert policy["style-src"] == [source(style)]
    assert policy["script-src"] == [source(script)]
    assert policy["default-src"] == ["'none'"]
    assert policy["connect-src"] == ["'self'"]
    assert "unsafe" not in SECURITY_POLICY


def test_no_text_ends_its_own_element_or_asks_elsewhere() -> None:
    for text in (STYLE, SCRIPT):
        assert "</" not in text
        assert "//" not in text.replace("// ", ""), "no address of another host"
        assert text.isascii()


def test_what_the_script_looks_for_is_on_the_page() -> None:
    page = shown()
    assert 'id="old"' in page and "<main" in page
    for name in re.findall(r'getElementById\("(\w+)"\)', SCRIPT):
        assert f'id="{name}"' in page
