"""The shape of the house (docs/architecture.md), held by reading the source: imports only go down, the core
knows no clock and no socket, files stay small, and no module keeps state."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import dmqcache

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dmqcache"
MAX_LINES = 400

#: Modules of the standard library through which time, chance, threads and the outside world come in.
OUTSIDE = frozenset(
    {
        "asyncio",
        "concurrent",
        "datetime",
        "multiprocessing",
        "random",
        "secrets",
        "select",
        "selectors",
        "signal",
        "socket",
        "ssl",
        "subprocess",
        "threading",
        "time",
    }
)
#: The only files that may use them. All others get what they need from these: the core is sans-I/O.
SHELL = frozenset(
    {
        "dmqcache.bus.net.aio",
        "dmqcache.bus.net.failure",
        "dmqcache.bus.net.readiness",
        "dmqcache.bus.net.resolver",
        "dmqcache.bus.net.sockaddr",
        "dmqcache.bus.net.tcp",
        "dmqcache.bus.net.tcp_connection",
        "dmqcache.bus.net.transport",
        "dmqcache.bus.net.udp",
        "dmqcache.bus.net.udp_socket",
        "dmqcache.server.http.routes",
        "dmqcache.server.resp.connection",
        "dmqcache.server.http.rpc_methods",
        "dmqcache.__main__",
        "dmqcache.cli.client",
        "dmqcache.cli.demo",
        "dmqcache.config.logs",
        "dmqcache.cache_node",
        "dmqcache.open_bus",
    }
)
#: What the store may know of the bus: a peer's view of it.
BUS_FACE = frozenset(
    {
        "dmqcache.bus.bounded",
        "dmqcache.bus.peer",
        "dmqcache.bus.sip.uri",
        "dmqcache.bus.runtime",
        "dmqcache.bus.node",
        "dmqcache.bus.bus",
    }
)
#: Methods that change a dict, a list, a set or a deque.
CHANGING = frozenset(
    {
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "extend",
        "extendleft",
        "insert",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "reverse",
        "setdefault",
        "sort",
        "update",
    }
)


@dataclass(frozen=True)
class Import:
    """One import statement of one name."""

    module: str
    #: Not under ``if TYPE_CHECKING``.
    at_run_time: bool
    #: Not within a function.
    at_load: bool


@cache
def sources() -> dict[str, ast.Module]:
    """All modules of the package by name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text("utf-8"), str(path))
    return found


@cache
def imports_of(name: str) -> tuple[Import, ...]:
    return tuple(_imports(sources()[name], True, True))


def _imports(node: ast.AST, at_run_time: bool, at_load: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, at_run_time, at_load)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0 and child.module, "imports are absolute"
            for alias in child.names:
                inner = f"{child.module}.{alias.name}"
                yield Import(inner if inner in sources() else child.module, at_run_time, at_load)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(child, False, at_load)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(child, at_run_time, at_load and not inside)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def names(package: str) -> list[str]:
    return [name for name in sources() if within(name, package)]


def own(name: str) -> list[Import]:
    """What a module imports of this package, types included."""
    return [one for one in imports_of(name) if within(one.module, "dmqcache")]


def test_the_bus_imports_nothing_above_it() -> None:
    above = {
        (name, one.module)
        for name in names("dmqcache.bus")
        for one in own(name)
        if not within(one.module, "dmqcache.bus")
    }
    assert not above


def test_the_store_knows_of_the_bus_what_a_peer_knows_and_nothing_above_it() -> None:
    for name in names("dmqcache.store"):
        for one in own(name):
            if within(one.module, "dmqcache.store"):
                continue
            assert one.module in BUS_FACE, f"{name} imports {one.module}"
            if one.module == "dmqcache.bus.bus":
                assert name == "dmqcache.store.store", f"{name} imports the whole bus"


def test_the_servers_know_nothing_of_the_commands_and_of_what_builds_them() -> None:
    for name in names("dmqcache.server"):
        for one in own(name):
            if one.at_run_time:
                assert one.module not in {
                    "dmqcache.cache_node",
                    "dmqcache.cli.app",
                    "dmqcache.cli.demo",
                    "dmqcache.cli.client",
                }


def test_only_the_shell_knows_time_chance_and_the_outside_world() -> None:
    users = {
        name
        for name in sources()
        if any(one.module.split(".")[0] in OUTSIDE for one in imports_of(name) if one.at_run_time)
    }
    assert users == SHELL


@pytest.mark.parametrize("name", ["dmqcache.store.store", "dmqcache.bus.bus"])
def test_the_core_does_not_reach_the_shell_by_a_detour(name: str) -> None:
    reached, ahead = set(), [name]
    while ahead:
        module = ahead.pop()
        if module not in reached:
            reached.add(module)
            ahead += [one.module for one in own(module) if one.at_run_time]
    assert not reached & SHELL


def test_there_are_no_import_cycles() -> None:
    """Those of functions and types are left out: they are not there when a module is loaded."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name in done:
            return
        for one in own(name):
            if one.at_run_time and one.at_load and one.module != name:
                visit(one.module, (*path, name))
        done.add(name)

    for name in sources():
        visit(name, ())


@pytest.mark.parametrize("folder", ["dmqcache", "bench", "examples"])
def test_files_are_small_and_say_what_they_own(folder: str) -> None:
    lengths = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text("utf-8")
        lengths.append(text.count("\n"))
        assert lengths[-1] <= MAX_LINES, f"{path.name} has {lengths[-1]} lines"
        if text.strip():
            assert ast.get_docstring(ast.parse(text)), f"{path} does not say what it is"
    assert sorted(lengths)[len(lengths) // 2] <= 200


def _module_level(tree: ast.Module) -> Iterator[tuple[str, str, ast.expr]]:
    """Names, annotations and values of the assignments of a module itself."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield target.id, "", statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            assert isinstance(statement.target, ast.Name)
            yield statement.target.id, ast.unparse(statement.annotation), statement.value


def _is_container(value: ast.expr) -> bool:
    literals = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
    makers = {"dict", "list", "set", "deque", "defaultdict", "Counter", "OrderedDict", "bytearray"}
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).split(".")[-1] in makers
    return isinstance(value, literals)


@pytest.mark.parametrize("name", sources())
def test_modules_keep_no_state(name: str) -> None:
    tree = sources()[name]
    containers = set()
    for variable, annotation, value in _module_level(tree):
        if not _is_container(value):
            continue
        containers.add(variable)
        constant = variable == "__all__" or variable.isupper() or annotation.startswith("Final")
        assert constant, f"{name}.{variable} looks like a variable"
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Global), f"{name}: global {node.names}"
        changed = _changed(node)
        assert changed not in containers, f"{name}:{getattr(node, 'lineno', 0)} changes {changed}"


def _changed(node: ast.AST) -> str | None:
    """The name of the container that a statement or a call changes in place."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
        holder: ast.expr = node.func.value
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        holder = node.value
    else:
        return None
    return holder.id if isinstance(holder, ast.Name) else None


def test_the_public_names_exist_and_load_nothing_before_they_are_used() -> None:
    for name in dmqcache.__all__:
        assert getattr(dmqcache, name).__name__ == name
        assert name in dir(dmqcache)
    assert set(dmqcache._HOMES) == set(dmqcache.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dmqcache.nonsense  # type: ignore[attr-defined]


def _loaded_by(code: str) -> set[str]:
    script = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_dmqcache_loads_nothing_else() -> None:
    loaded = _loaded_by("import dmqcache")
    assert {name for name in loaded if within(name, "dmqcache")} == {"dmqcache"}


def test_the_commands_load_no_node() -> None:
    loaded = _loaded_by("import dmqcache.cli.app")
    heavy = {"asyncio", "msgspec", "prometheus_client", "starlette", "uvicorn", "re2", "pydantic", "rich"}
    assert not loaded & heavy
    assert not {name for name in loaded if within(name, "dmqcache.bus") or within(name, "dmqcache.store")}
