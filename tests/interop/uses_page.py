"""docs/libraries.md: the uses of Redis' libraries that are tried, made of the tests that try them.

``python -m tests.interop.uses_page`` writes it anew.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.interop import test_libraries, test_node_libraries

PAGE = Path(__file__).resolve().parents[2] / "docs" / "libraries.md"
HEAD = """\
# Libraries that have a Redis beneath them

Made of the tests (`python -m tests.interop.uses_page`). Each use is a small program that asserts what its
library promises. It runs against a real Redis and against a dmqcache node, with the same asserts. What is
under "not" needs what a cell, which is a text or an integer, cannot be, and ends with Redis' own error for an
unknown command. What a lock means where several nodes are asked stands in the
[README](../README.md#redis-clients).
"""
#: How the names of a library's uses begin, and what the library is called.
PYTHON = {
    "django_redis": "django-redis",
    "django": "Django (its own backend; sessions on django-redis)",
    "flask": "Flask-Caching",
    "dogpile": "dogpile.cache",
    "cashews": "cashews",
    "aiocache": "aiocache",
    "redis_py": "redis-py",
    "limits": "limits",
    "pyrate_limiter": "pyrate-limiter",
    "redis_lock": "python-redis-lock",
    "walrus": "walrus",
    "celery": "Celery's result backend",
}
NODE = {
    "ioredis": "ioredis",
    "node_redis": "node-redis",
    "connect_redis": "connect-redis",
    "keyv": "keyv, @keyv/redis",
    "cache_manager": "cache-manager",
    "rate_limiter_flexible": "rate-limiter-flexible",
    "rate_limit_redis": "rate-limit-redis",
    "redlock": "redlock",
}


def page() -> str:
    """The whole page."""
    python = [use.__name__ for use in test_libraries.USES]
    return "\n".join(
        [
            HEAD,
            *_section("Python", "test_libraries", PYTHON, python, test_libraries.NEEDS),
            *_section(
                "Node", "test_node_libraries", NODE, test_node_libraries.USES, test_node_libraries.NEEDS
            ),
        ]
    )


def _section(
    title: str, tests: str, libraries: Mapping[str, str], uses: Sequence[str], needs: Mapping[str, str]
) -> list[str]:
    counted = f"{len(uses) - len(needs)} of {len(uses)} ([{tests}.py](../tests/interop/{tests}.py))"
    lines = [f"## {title}: {counted}", "", "| library | uses | work | not |", "| --- | ---: | --- | --- |"]
    of: dict[str, list[str]] = {prefix: [] for prefix in libraries}
    for use in uses:
        of[next(prefix for prefix in libraries if use.startswith(f"{prefix}_"))].append(use)
    for prefix, own in of.items():
        words = {use: use.removeprefix(f"{prefix}_").replace("_", " ") for use in own}
        work = ", ".join(words[use] for use in own if use not in needs)
        lacking = ", ".join(f"{words[use]} ({needs[use]})" for use in own if use in needs)
        lines.append(f"| {libraries[prefix]} | {len(own)} | {work} | {lacking} |")
    return [*lines, ""]


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
