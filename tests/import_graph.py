"""Reading a package's imports from its source, and finding what is wrong with them.

Every import counts: at the top, within a function, under ``if TYPE_CHECKING``, relative ones, and
``import_module("...")`` with a name that stands there. Names that are made at run time are told apart
(``dynamic_imports``), because nobody can follow them. What a package may do is not said here.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Arrow(NamedTuple):
    """One module imports another."""

    importer: str
    imported: str

    def __str__(self) -> str:
        return f"{self.importer} -> {self.imported}"


@dataclass(frozen=True)
class Import:
    """One import statement of one name."""

    module: str
    #: Not under ``if TYPE_CHECKING``.
    at_run_time: bool


@dataclass(frozen=True)
class Package:
    """All modules of one package, parsed."""

    name: str
    trees: Mapping[str, ast.Module]
    #: The modules that are an ``__init__.py``.
    folders: frozenset[str]

    @classmethod
    def read(cls, root: Path) -> Package:
        trees, folders = {}, set()
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            folder = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if folder else parts)
            trees[name] = ast.parse(path.read_text("utf-8"), str(path))
            if folder:
                folders.add(name)
        return cls(root.name, trees, frozenset(folders))

    def imports(self, module: str) -> Iterator[Import]:
        """All that a module imports, libraries too."""
        yield from self._imports(module, self.trees[module], True)

    def arrows(self) -> frozenset[Arrow]:
        """Which module of the package imports which."""
        return frozenset(
            Arrow(module, one.module)
            for module in self.trees
            for one in self.imports(module)
            if one.module in self.trees
        )

    def dynamic_imports(self) -> frozenset[str]:
        """The modules that import by a name which is not written down."""
        return frozenset(
            module
            for module, tree in self.trees.items()
            for node in ast.walk(tree)
            if _is_import_call(node) and _written_name(node) is None
        )

    def _imports(self, module: str, node: ast.AST, at_run_time: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, at_run_time)
        elif isinstance(node, ast.ImportFrom):
            base = self._base(module, node)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield Import(inner if inner in self.trees else base, at_run_time)
        elif isinstance(node, ast.Call) and (written := _written_name(node)):
            yield Import(written, at_run_time)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from self._imports(module, child, False)
            for child in node.orelse:
                yield from self._imports(module, child, at_run_time)
            return
        for child in ast.iter_child_nodes(node):
            yield from self._imports(module, child, at_run_time)

    def _base(self, module: str, node: ast.ImportFrom) -> str:
        """What stands after ``from``, in full."""
        if not node.level:
            return node.module or ""
        parts = module.split(".")
        up = node.level - (module in self.folders)
        return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])


def _is_import_call(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}


def _written_name(node: ast.AST) -> str | None:
    if _is_import_call(node) and isinstance(node, ast.Call) and node.args:
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return first.value
    return None


def cycles(arrows: Iterable[Arrow]) -> list[tuple[str, ...]]:
    """For each knot of modules that import each other, one shortest way around: ``a, b, a``."""
    ahead: dict[str, set[str]] = {}
    for arrow in arrows:
        ahead.setdefault(arrow.importer, set()).add(arrow.imported)
    found, knotted = [], set[str]()
    for start in sorted(ahead):
        if start not in knotted and (way := _way_back(start, ahead)):
            found.append(way)
            knotted.update(way)
    return found


def _way_back(start: str, ahead: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    ways, seen = [(start,)], {start}
    for way in ways:
        for following in sorted(ahead.get(way[-1], ())):
            if following == start:
                return (*way, start)
            if following not in seen:
                seen.add(following)
                ways.append((*way, following))
    return ()


def room_of(module: str, rooms: Collection[str]) -> str:
    """The innermost room that a module stands in."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in rooms:
            return name
    raise KeyError(f"{module} stands in no room")


def forbidden(
    arrows: Iterable[Arrow], may_import: Mapping[str, Collection[str]], room: Mapping[str, str]
) -> frozenset[Arrow]:
    """The arrows between rooms that are not in the table."""
    return frozenset(
        arrow
        for arrow in arrows
        if room[arrow.importer] != room[arrow.imported]
        and room[arrow.imported] not in may_import[room[arrow.importer]]
    )


def uphill(may_import: Mapping[str, Collection[str]]) -> list[Arrow]:
    """The table itself: each room may import only rooms that stand before it."""
    before: list[str] = []
    found = []
    for room, others in may_import.items():
        found += [Arrow(room, other) for other in others if other not in before]
        before.append(room)
    return found
