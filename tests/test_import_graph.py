"""The reader of imports sees each kind of them, and what is wrong is found where it was planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.import_graph import Arrow, Import, Package, cycles, forbidden, room_of, uphill

#: A small house without a fault: ``top`` stands on ``low``.
SOUND = {
    "__init__.py": "",
    "low/__init__.py": "",
    "low/base.py": "import json\n",
    "low/more.py": "from house.low.base import thing\n",
    "top/__init__.py": "",
    "top/roof.py": "from house.low import base, more\n",
}
MAY_IMPORT = {"house": (), "house.low": (), "house.top": ("house.low",)}


def house(tmp_path: Path, planted: dict[str, str] | None = None) -> Package:
    """The small house, with other text in some of its files."""
    for name, text in (SOUND | (planted or {})).items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Package.read(tmp_path / "house")


def wrong(package: Package) -> frozenset[Arrow]:
    rooms = {module: room_of(module, MAY_IMPORT) for module in package.trees}
    return forbidden(package.arrows(), MAY_IMPORT, rooms)


def test_a_sound_house_has_no_fault(tmp_path: Path) -> None:
    package = house(tmp_path)
    assert {str(arrow) for arrow in package.arrows()} == {
        "house.low.more -> house.low.base",
        "house.top.roof -> house.low.base",
        "house.top.roof -> house.low.more",
    }
    assert cycles(package.arrows()) == []
    assert not wrong(package)
    assert not package.dynamic_imports()


WAYS = [
    "from house.{0} import thing",
    "import house.{0}",
    "import house.{0} as thing",
    "import json, house.{0}",
    "from house.{0} import *",
    "if TYPE_CHECKING:\n    from house.{0} import Thing",
    "if typing.TYPE_CHECKING:\n    import house.{0}",
    "if not TYPE_CHECKING:\n    import house.{0}",
    "if TYPE_CHECKING:\n    pass\nelse:\n    import house.{0}",
    "def use():\n    from house.{0} import thing",
    "async def use():\n    if True:\n        import house.{0}",
    "class Thing:\n    def use(self):\n        from house.{0} import thing",
    "try:\n    import json\nexcept ImportError:\n    import house.{0}",
    "with open('x'):\n    import house.{0}",
    "from importlib import import_module\nthing = import_module('house.{0}')",
    "import importlib\ndef use():\n    return importlib.import_module('house.{0}').thing",
    "thing = [__import__('house.{0}') for _ in range(1)]",
]


@pytest.mark.parametrize("way", WAYS)
def test_a_planted_cycle_is_found(tmp_path: Path, way: str) -> None:
    package = house(tmp_path, {"low/base.py": way.format("low.more")})
    assert cycles(package.arrows()) == [("house.low.base", "house.low.more", "house.low.base")]


@pytest.mark.parametrize("way", WAYS)
def test_a_planted_upward_import_is_found(tmp_path: Path, way: str) -> None:
    package = house(tmp_path, {"low/more.py": way.format("top.roof")})
    assert wrong(package) == {Arrow("house.low.more", "house.top.roof")}


@pytest.mark.parametrize(
    ("file", "text", "imported"),
    [
        ("low/base.py", "from . import more", "house.low.more"),
        ("low/base.py", "from .more import thing", "house.low.more"),
        ("low/base.py", "from ..top import roof", "house.top.roof"),
        ("low/base.py", "from ..top.roof import thing", "house.top.roof"),
        ("low/base.py", "from .. import thing", "house"),
        ("low/__init__.py", "from . import more", "house.low.more"),
        ("low/__init__.py", "from ..top.roof import thing", "house.top.roof"),
        ("__init__.py", "from .top import roof", "house.top.roof"),
    ],
)
def test_relative_imports_are_followed(tmp_path: Path, file: str, text: str, imported: str) -> None:
    package = house(tmp_path, {file: text})
    importer = {"__init__.py": "house", "low/__init__.py": "house.low", "low/base.py": "house.low.base"}[file]
    assert Arrow(importer, imported) in package.arrows()


def test_a_package_that_is_named_is_an_arrow_to_its_init(tmp_path: Path) -> None:
    package = house(tmp_path, {"low/base.py": "from house import thing\nimport house.top\n"})
    assert wrong(package) == {Arrow("house.low.base", "house"), Arrow("house.low.base", "house.top")}


def test_a_module_that_imports_itself_and_a_long_way_around_are_cycles(tmp_path: Path) -> None:
    package = house(
        tmp_path, {"low/base.py": "import house.low.base", "low/more.py": "import house.top.roof"}
    )
    assert cycles(package.arrows()) == [
        ("house.low.base", "house.low.base"),
        ("house.low.more", "house.top.roof", "house.low.more"),
    ]
    ring = [Arrow(str(number), str((number + 1) % 5)) for number in range(5)]
    assert cycles(ring) == [("0", "1", "2", "3", "4", "0")]
    assert cycles([*ring[:-1], Arrow("x", "0"), Arrow("x", "4")]) == []


def test_a_knot_beside_a_knot_is_not_hidden_by_it() -> None:
    two = [Arrow("a", "b"), Arrow("b", "a"), Arrow("b", "c"), Arrow("c", "d"), Arrow("d", "c")]
    assert cycles(two) == [("a", "b", "a"), ("c", "d", "c")]


@pytest.mark.parametrize(
    "text", ["import importlib\nx = importlib.import_module(name)", "x = __import__(f'house.{name}')"]
)
def test_an_import_whose_name_is_made_at_run_time_is_told(tmp_path: Path, text: str) -> None:
    assert house(tmp_path, {"low/base.py": text}).dynamic_imports() == {"house.low.base"}


def test_types_and_what_is_loaded_are_told_apart(tmp_path: Path) -> None:
    text = "import json\nif TYPE_CHECKING:\n    import socket\nelse:\n    import time\n"
    package = house(tmp_path, {"low/base.py": text})
    assert list(package.imports("house.low.base")) == [
        Import("json", True),
        Import("socket", False),
        Import("time", True),
    ]


def test_the_room_is_the_innermost_and_there_must_be_one() -> None:
    assert room_of("house.low.base", ["house", "house.low"]) == "house.low"
    assert room_of("house.low.base", ["house", "house.low", "house.low.base"]) == "house.low.base"
    assert room_of("house.lowest", ["house", "house.low"]) == "house"
    with pytest.raises(KeyError, match=r"barn\.door stands in no room"):
        room_of("barn.door", ["house"])


def test_a_table_that_lets_a_room_import_one_above_it_is_wrong_itself() -> None:
    assert uphill(MAY_IMPORT) == []
    assert uphill({"low": ["top"], "top": ["low"]}) == [Arrow("low", "top")]
    assert uphill({"low": ["nowhere"]}) == [Arrow("low", "nowhere")]
