"""Sets up Node's libraries for the tests, and a Node where there is none: `make node` runs it.

npm installs what node/package.json names into the cache folder, once, 25 MB. A machine without npm, or
without a Node that is new enough, gets both from a package of PyPI's, unpacked, not installed, into the cache
folder (50 MB are downloaded). What cannot be had is said in one line and no failure: its tests are skipped.
"""

import fcntl
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.interop.node_libraries import PROGRAMS, WHEEL, modules, modules_folder, node, unpacked
from tests.interop.releases import NotInstalled, cache_folder

NPM_OPTIONS = (
    *("--omit=dev", "--omit=optional", "--omit=peer", "--ignore-scripts", "--no-package-lock"),
    *("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"),
    *("--fetch-retries=2", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000"),
    "--fetch-timeout=20000",
)
#: Seconds for one download: a registry that nobody reaches must not hold up what does not need it.
PATIENCE_S = 240.0


class CannotInstall(Exception):
    """This machine cannot; the text says in a line what is in the way."""


def npm() -> list[str]:
    """The words that run npm: the machine's own, else that of the unpacked Node; NotInstalled."""
    if own := shutil.which("npm"):
        return [own]
    unpacked_npm = unpacked("lib/node_modules/npm/bin/npm-cli.js")
    if not unpacked_npm.exists():
        raise NotInstalled("no npm is here")
    return [node(), str(unpacked_npm)]


def install_runtime() -> None:
    """Unpack a Node with its npm."""
    with tempfile.TemporaryDirectory(dir=cache_folder("node")) as work:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps"]
        _run([*pip, "--only-binary=:all:", "--target", f"{work}/unpacked", WHEEL])
        shutil.rmtree(unpacked("").parent, ignore_errors=True)
        Path(work, "unpacked").rename(unpacked("").parent)
    unpacked("bin/node").chmod(0o755)


def install_libraries() -> None:
    """Install what node/package.json names."""
    with tempfile.TemporaryDirectory(dir=cache_folder("node")) as work:
        folder = Path(work, "unpacked")
        folder.mkdir()
        shutil.copy(PROGRAMS / "package.json", folder)
        _run([*npm(), "install", "--prefix", str(folder), *NPM_OPTIONS])
        shutil.rmtree(modules_folder(), ignore_errors=True)
        folder.rename(modules_folder())


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotInstall(f"{command[0]} was not done after {PATIENCE_S:.0f} s") from error
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if "error" in line.lower()] or [
            f"status {done.returncode}"
        ]
        raise CannotInstall(lines[0].strip())


def set_up() -> None:
    """What is missing; CannotInstall, NotInstalled or OSError if it cannot be had."""
    try:
        node(), modules()
        return
    except NotInstalled:
        print(f"setting up Node's libraries in {cache_folder('node')} ...", flush=True)
    try:
        node(), npm()
    except NotInstalled:
        install_runtime()
        node.cache_clear()
    install_libraries()


def main() -> int:
    """Always 0: what is missing is said, and the tests that want it are skipped."""
    cache_folder("node").mkdir(parents=True, exist_ok=True)
    with (cache_folder("node") / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            set_up()
        except (CannotInstall, NotInstalled, OSError) as error:
            print(f"Node's libraries cannot be had here, so their tests are skipped: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
