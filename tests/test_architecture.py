"""The shape of the house (docs/architecture.md), held by reading the source: which room may import which, no
circle, no clock and no socket in the core, small files with their tests beside them, no state in modules.

``import_graph`` reads the imports, all of them; ``test_import_graph`` plants faults and sees them found.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import dmqcache
from tests.import_graph import Import, Package, cycles, forbidden, room_of, uphill

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
        "dmqcache.bus.net.handshake_words",
        "dmqcache.bus.net.handshakes",
        "dmqcache.bus.net.lookout",
        "dmqcache.bus.net.packet_filter",
        "dmqcache.bus.net.readiness",
        "dmqcache.bus.net.refresh",
        "dmqcache.bus.net.resolver",
        "dmqcache.bus.net.sockaddr",
        "dmqcache.bus.net.tcp",
        "dmqcache.bus.net.tcp_connection",
        "dmqcache.bus.net.tls",
        "dmqcache.bus.net.transport",
        "dmqcache.bus.net.udp",
        "dmqcache.bus.net.udp_socket",
        "dmqcache.server.http.http_guard",
        "dmqcache.server.http.http_connection",
        "dmqcache.server.http.http_server",
        "dmqcache.server.http.routes",
        "dmqcache.server.http.rpc_socket",
        "dmqcache.server.unix_socket",
        "dmqcache.server.resp.connection",
        "dmqcache.server.resp.local_socket",
        "dmqcache.server.resp.lua_process",
        "dmqcache.server.resp.lua_wire",
        "dmqcache.server.resp.lua_worker",
        "dmqcache.server.resp.pause",
        "dmqcache.server.resp.server",
        "dmqcache.server.http.rpc_core",
        "dmqcache.server.http.rpc_methods",
        "dmqcache.server.http.rpc_mirrors",
        "dmqcache.__main__",
        "dmqcache.cli.backup",
        "dmqcache.cli.client",
        "dmqcache.cli.demo",
        "dmqcache.cli.growing_dump",
        "dmqcache.cli.progress",
        "dmqcache.cli.run_node",
        "dmqcache.config.logs",
        "dmqcache.cache_node",
        "dmqcache.node_channels",
        "dmqcache.peers.record_changes",
        "dmqcache.database.db_worker",
        "dmqcache.database.node_database",
        "dmqcache.disk.node_disk",
        "dmqcache.disk.writer",
        "dmqcache.process_end",
        "dmqcache.sync_node",
        "dmqcache.sync_table",
        "dmqcache.watch",
        "dmqcache.served_tls",
        "dmqcache.socket_bus",
        "dmqcache.table_database",
    }
)
#: What the store may know of the bus: a peer's view of it.
BUS_FACE = frozenset(
    {
        "dmqcache.bus.bounded",
        "dmqcache.bus.loop_steps",
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


#: The rooms from the ground up, and what each may import: only what stands before it. A folder is a room, and
#: so is a file of the root; ``FILES`` names the files that other rooms than their folder's stand on. The
#: last one is the package itself, which names what is public.
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    room: frozenset(others.split())
    for room, others in {
        "release": "",
        "defaults": "",
        "bus.sip": "",
        "bus.ground": "bus.sip defaults",
        "bus.trust": "bus.ground bus.sip",
        "bus.net": "bus.trust bus.ground bus.sip",
        "bus.exchange": "bus.trust bus.ground bus.sip defaults",
        "bus.nodes": "bus.exchange bus.ground bus.sip defaults",
        "bus": "bus.nodes bus.exchange bus.trust bus.ground bus.sip defaults",
        "store.table": "bus.ground defaults",
        "store.ground": "store.table bus.ground bus.sip",
        "store.outbox": "store.ground store.table bus.ground bus.sip",
        "store.native": "store.outbox store.ground store.table bus.ground bus.sip",
        "store.kamailio": "store.outbox store.ground store.table bus.ground bus.sip",
        "store": "store.kamailio store.native store.outbox store.ground store.table bus bus.ground bus.sip",
        "channels": "bus.ground bus.sip",
        "peers": "store.table bus.ground bus.sip",
        "database": "store.table",
        "config": "channels database store.table bus bus.ground bus.sip defaults",
        "disk": "store.table bus.ground",
        "metrics": "peers disk store store.table bus.ground",
        "server": "",
        "server.resp": "server peers metrics store.table release bus.ground",
        "server.http": "server peers metrics database store.table bus.ground bus.sip release",
        "socket_bus": "bus bus.net bus.trust bus.ground bus.sip",
        "process_end": "",
        "served_tls": "bus.net",
        "client_doors": "served_tls server.http server.resp config bus.net",
        "node_channels": "channels bus bus.ground bus.sip",
        "watch": "store.table",
        "table_database": "database config store",
        "node_servers": "client_doors server.http server.resp config release",
        "node_settings": "socket_bus config store bus.net bus.ground release",
        "cache_node": "table_database node_channels node_servers node_settings watch process_end socket_bus "
        "metrics disk config store store.table bus bus.net bus.ground bus.sip release",
        "sync_table": "watch store.table",
        "sync_node": "sync_table cache_node process_end config store.table",
        "adapters": "sync_node store.table",
        "cli": "cache_node server.resp config bus.net bus.trust release defaults",
        "__main__": "cli",
        "": "sync_node sync_table cache_node socket_bus config database store.table bus bus.ground bus.sip "
        "release",
    }.items()
}
#: The files that do not stand in their folder's room.
FILES: Mapping[str, str] = {
    "bus.admission": "bus.ground",
    "bus.allow": "bus.ground",
    "bus.bounded": "bus.ground",
    "bus.bus_counters": "bus.ground",
    "bus.bus_settings": "bus.ground",
    "bus.identity": "bus.ground",
    "bus.loop_steps": "bus.ground",
    "bus.node": "bus.ground",
    "bus.peer": "bus.ground",
    "bus.runtime": "bus.ground",
    "bus.timers": "bus.ground",
    "store.ground": "store.ground",
}
#: Who imports by a name that comes from outside: the public names, and the peers that somebody configures.
BY_NAME = {"dmqcache", "dmqcache.config.peer_loading"}


@cache
def package() -> Package:
    return Package.read(PACKAGE)


def sources() -> Mapping[str, ast.Module]:
    """All modules of the package by name."""
    return package().trees


@cache
def imports_of(name: str) -> tuple[Import, ...]:
    return tuple(package().imports(name))


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def own(name: str) -> list[Import]:
    """What a module imports of this package, types included."""
    return [one for one in imports_of(name) if within(one.module, "dmqcache")]


@cache
def rooms() -> Mapping[str, str]:
    """The room of each module."""
    places = {room: room for room in MAY_IMPORT} | dict(FILES)
    by_name = {f"dmqcache.{place}".rstrip("."): room for place, room in places.items()}
    return {module: by_name[room_of(module, by_name)] for module in sources()}


def test_imports_only_go_down_and_from_room_to_room_as_the_table_says() -> None:
    found = forbidden(package().arrows(), MAY_IMPORT, rooms())
    assert found == set()


def test_the_table_itself_only_goes_down_and_names_what_is_there() -> None:
    assert uphill(MAY_IMPORT) == []
    assert FILES.keys() <= {module.removeprefix("dmqcache.") for module in sources()} | {"store.ground"}
    assert set(rooms().values()) | {"store.ground"} == set(MAY_IMPORT)
    assert [module for module, room in rooms().items() if not room] == ["dmqcache"]


def test_no_file_imports_another_in_a_circle() -> None:
    """Imports in functions and for types count: two files that know each other are one file."""
    assert cycles(package().arrows()) == []


def test_only_names_from_outside_are_imported_by_name() -> None:
    assert package().dynamic_imports() == BY_NAME
    assert set(dmqcache._HOMES.values()) == {one.module for one in own("dmqcache") if not one.at_run_time}


def test_the_folders_import_nothing() -> None:
    assert {name for name in package().folders - {"dmqcache"} if imports_of(name)} == set()


def test_the_store_knows_of_the_bus_what_a_peer_knows() -> None:
    for name in sources():
        if within(name, "dmqcache.store"):
            for one in own(name):
                below = within(one.module, "dmqcache.store") or one.module == "dmqcache.defaults"
                assert below or one.module in BUS_FACE, f"{name}: {one.module}"
                assert one.module != "dmqcache.bus.bus" or name == "dmqcache.store.store"


def test_two_files_never_share_a_name() -> None:
    names = Counter(path.name for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    assert {name for name, count in names.items() if count > 1} == set()


def test_every_file_has_the_tests_that_bear_its_name() -> None:
    lacking = set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        tests = ROOT / "tests" / place.with_name(f"test_{place.name}")
        if path.name != "__init__.py" and not (tests.exists() and "def test_" in tests.read_text("utf-8")):
            lacking.add(str(place))
    assert lacking == set()


def test_every_folder_says_what_it_owns_and_which_file_to_read_first() -> None:
    silent = set()
    for name in package().folders - {"dmqcache"}:
        said = ast.get_docstring(sources()[name]) or ""
        files = {module.rpartition(".")[2] for module in sources() if within(module, name)}
        if len(said.splitlines()) < 3 or not any(f"``{file}" in said for file in files):
            silent.add(name)
    assert silent == set()


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
            ahead += [one.module for one in own(module) if one.at_run_time and one.module in sources()]
    assert not reached & SHELL


@pytest.mark.parametrize("folder", ["dmqcache", "bench", "examples"])
def test_files_are_small_and_say_what_they_own(folder: str) -> None:
    lengths = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text("utf-8")
        if path.name != "__init__.py":
            lengths.append(text.count("\n"))
            assert lengths[-1] < MAX_LINES, f"{path.name} has {lengths[-1]} lines"
        if text.strip():
            assert ast.get_docstring(ast.parse(text)), f"{path} does not say what it is"
    assert sorted(lengths)[len(lengths) // 2] < 200


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


def _assigned_from_outside(trees: Iterable[ast.Module]) -> set[str]:
    """Callbacks that somebody else puts into an object after it was made."""
    trees = list(trees)
    callbacks, others, found = set[str](), set[str](), set[str]()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.AnnAssign):
            name = ast.unparse(node.target).rpartition(".")[2]
            (callbacks if ast.unparse(node.annotation).startswith("Callable[") else others).add(name)
    for tree in trees:
        for owner in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
            methods = {one.name for one in owner.body if isinstance(one, ast.FunctionDef)}
            for node in [node for node in ast.walk(owner) if isinstance(node, ast.Assign)]:
                found |= {
                    ast.unparse(target)
                    for target in node.targets
                    if isinstance(target, ast.Attribute)
                    and ast.unparse(target.value) != "self"
                    and (target.attr in callbacks - others or _is_callback(node.value, methods))
                }
    return found


def _is_callback(value: ast.expr, methods: set[str]) -> bool:
    if isinstance(value, ast.Call):
        return ast.unparse(value.func) == "partial"
    own = isinstance(value, ast.Attribute) and ast.unparse(value.value) == "self" and value.attr in methods
    return own or isinstance(value, ast.Lambda)


def test_callbacks_are_given_when_an_object_is_made() -> None:
    # How sqlite3 is told what to make of a text.
    assert _assigned_from_outside(sources().values()) == {"connection.text_factory"}


def test_a_callback_that_is_assigned_later_is_noticed() -> None:
    planted = """
class One:
    told: Callable[[], None]
class Two:
    def __init__(self, one, three, four, five):
        self.told = one.told
        one.told = three
        three.end = self.close
        three.size = self.size
        four.heard = lambda: None
        five.heard = partial(print, 1)
    def close(self): pass
"""
    found = _assigned_from_outside([ast.parse(planted)])
    assert found == {"one.told", "three.end", "four.heard", "five.heard"}


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


def test_every_file_that_is_named_exists() -> None:
    """In a docstring, a comment or a page: a name that was left behind by a move sends its reader nowhere."""
    places = ("dmqcache", "tests", "bench", "examples")
    files = [str(path.relative_to(ROOT)) for place in places for path in (ROOT / place).rglob("*.py")]
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *PACKAGE.rglob("*.py")]
    lost = {
        (str(page.relative_to(ROOT)), name)
        for page in pages
        for name in re.findall(
            r"\w[\w/]*\.py\b" if page.suffix == ".md" else r"`([\w/]+\.py)`", page.read_text("utf-8")
        )
        if not any(f"/{path}".endswith(f"/{name}") for path in files)
    }
    assert lost == set()
