"""What the README and docs/ tell people to type exists: commands, flags, defaults, targets, names, links."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer

import dmqcache
from dmqcache.cli import app as cli
from dmqcache.config.config import load
from dmqcache.config.options import BY_NAME, OPTIONS
from tests.interop.kamailio_cfg import HEAD, KDMQ_ROUTE, PARAMETERS, ROUTES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text("utf-8")
COMMANDS = typer.main.get_command(cli.app)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def shell_lines() -> Iterator[tuple[Path, str]]:
    """Each line that a reader may paste, joined where it goes on after a backslash."""
    for page in PAGES:
        for block in blocks(page.read_text("utf-8"), "(?:sh|ini)"):
            for line in block.replace("\\\n", " ").splitlines():
                yield page, line


def dmqcache_lines() -> list[list[str]]:
    """The words after ``dmqcache`` of each such line."""
    found = []
    for page, line in shell_lines():
        match = re.match(r"(?:ExecStart=)?(?:[A-Z_]+=\S+ )*(?:\S*/)?dmqcache (.*)", line)
        if match:
            found.append(shlex.split(match[1], comments=True))
        else:
            assert " dmqcache serve" not in line or "#" in line, f"{page.name}: {line} is not tried"
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_folder_is_made_before_something_is_put_into_it(page: Path) -> None:
    for block in blocks(page.read_text("utf-8"), "sh"):
        for written in re.findall(r"(?:^|.* )(?:> ?|key new )(/[\w/.-]+)/[\w.-]+", block):
            made, _, _ = block.partition(f"{written}/")
            assert f"install -d -m 0700 {written}\n" in made, f"{page.name}: who makes {written}?"


def test_the_page_begins_with_the_two_commands_that_do_all() -> None:
    first = blocks(README, "sh")[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]


def test_no_page_holds_the_marks_of_a_merge() -> None:
    pages = [*PAGES, ROOT / "CHANGELOG.md"]
    marked = [page.name for page in pages if re.search(r"^(<{7}|={7}$|>{7})", page.read_text("utf-8"), re.M)]
    assert marked == []


def test_all_commands_are_shown() -> None:
    shown = {words[0] for words in dmqcache_lines()}
    assert shown >= set(COMMANDS.commands) - {"demo", "version"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", dmqcache_lines(), ids=" ".join)
def test_each_command_line_is_understood(words: list[str]) -> None:
    name, *args = words
    command = COMMANDS.commands[name]  # type: ignore[attr-defined]
    context = command.make_context(name, args)
    if name == "serve":
        flags = {key: value for key, value in context.params.items() if key in BY_NAME}
        load(flags=flags)


def test_the_table_of_options_is_complete_and_has_the_true_defaults() -> None:
    table = README.partition("<!-- options:")[2].partition("<!-- end of options -->")[0]
    told: dict[str, str] = {}
    for row in re.findall(r"^\| (`--.*?) \| (.*?) ?\| ", table, re.MULTILINE):
        flags = re.findall(r"`(--[a-z0-9-]+)`", row[0])
        defaults = re.findall(r"`(.*?)`", row[1]) or [""] * len(flags)
        told |= dict(zip(flags, defaults, strict=True))
    assert told == {option.flag: option.default for option in OPTIONS}


def test_each_flag_that_is_named_in_passing_exists() -> None:
    known = {flag for command in COMMANDS.commands.values() for one in command.params for flag in one.opts}  # type: ignore[attr-defined]
    for page in PAGES:
        prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for quoted in re.findall(r"`([^`]+)`", prose):
            for flag in re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", quoted):
                assert flag in known | {"--help", "--strict"}, f"{page.name}: {quoted}"


def test_each_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text("utf-8")
        code = blocks(text, "sh") + re.findall(r"`([^`\n]+)`", text)
        for target in re.findall(r"(?:^|\n)make ([a-z]+)", "\n".join(code)):
            assert target in targets


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_each_link_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in _anchors(there.read_text("utf-8")), target


@pytest.mark.parametrize("block", blocks(README, "python"))
def test_the_python_is_valid_and_its_imports_exist(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom):
            module = import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_configuration_file_is_understood(page: Path, tmp_path: Path) -> None:
    for block in blocks(page.read_text("utf-8"), "toml"):
        file = tmp_path / "dmqcache.toml"
        file.write_text(block, "utf-8")
        load(file=file, environ={}, flags={})


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_the_lines_for_kamailio_are_those_that_the_tests_run() -> None:
    """tests/interop/ starts real Kamailios with them; only addresses and tables differ."""
    from tests.interop.kamailio_cfg import MODULES

    (block,) = blocks(README, "kamailio")
    loaded = re.findall(r'^loadmodule "(\w+)\.so"$', block, re.MULTILINE)
    assert set(loaded) <= set(MODULES)
    assert loaded.index("dmq") < loaded.index("htable")
    parameters = re.findall(r'^modparam\("(\w+)", "(\w+)", (.*)\)$', block, re.MULTILINE)
    assert len(parameters) == block.count("modparam")
    tried = _squeezed(PARAMETERS.format(uri="URI", ping_interval=60, workers=2, init_sync=1))
    for module, name, value in parameters:
        if name not in ("notification_address", "htable"):
            given = '"URI"' if name == "server_address" else value
            assert f'modparam("{module}","{name}",{given})' in tried
    route = _squeezed('if(is_method("KDMQ")) { dmq_handle_message(); exit; }')
    assert route in _squeezed(block)
    assert route in _squeezed(ROUTES.format(branches="", kdmq=KDMQ_ROUTE, requests=""))
    for setting in re.findall(r"`(tcp_\w+=\d+)`", README):
        assert setting in HEAD


def test_each_dependency_is_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    section = README.partition("## Dependencies")[2].partition("\n## ")[0]
    for requirement in project["dependencies"] + project["optional-dependencies"]["uvloop"]:
        assert re.split(r"[<>=]", requirement)[0] in section


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    latest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert latest is not None
    assert latest[1] == dmqcache.__version__ == project["version"]
