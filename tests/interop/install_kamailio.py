"""Sets up the releases of Kamailio that this machine does not have: `make debian` runs it.

Each comes out of the packages of the release of Debian that has it, downloaded by debootstrap from the mirror
that this machine's apt uses, and unpacked, not installed, into the cache folder: once, about 200 MB each.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.interop.releases import RELEASES, NotInstalled, Release, cache_folder, find, unpacked_program

PACKAGES = "kamailio,kamailio-tls-modules,kamailio-presence-modules"
SCRIPTS = Path("/usr/share/debootstrap/scripts")
"""debootstrap knows the releases that were there before it; all later ones are made like sid."""


class CannotInstall(Exception):
    """This machine cannot; the text says what is in the way."""


def mirror() -> str:
    """The mirror of Debian that apt uses here; empty, where there is none: debootstrap has its default."""
    sites = _output("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages").split()
    return next((site for site in sites if site.rstrip("/").endswith("/debian")), "")


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def install(release: Release) -> None:
    """Download and unpack one release; nothing is left behind if that does not work."""
    if os.geteuid() != 0:
        raise CannotInstall("debootstrap must be run as root")
    if shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        raise CannotInstall("install the package debootstrap")
    target = cache_folder() / release.suite
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=f"{release.suite}-") as work:
        _download(release, Path(work))
        packages = sorted((Path(work) / "var/cache/apt/archives").glob("*.deb"))
        unpacked = Path(work) / "unpacked"
        for package in packages:
            subprocess.run(["dpkg-deb", "-x", str(package), str(unpacked)], check=True)
        program = unpacked_program(unpacked)
        found = program.version if program else "no Kamailio that starts"
        if not found.startswith(f"{release.line}."):
            raise CannotInstall(f"Debian {release.suite} now has {found}: see tests/interop/releases.py")
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)


def _download(release: Release, folder: Path) -> None:
    script = SCRIPTS / release.suite
    command = ["debootstrap", "--download-only", "--variant=minbase", f"--include={PACKAGES}"]
    command += [release.suite, str(folder), mirror(), str(script if script.exists() else SCRIPTS / "sid")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-5:])
        raise CannotInstall(f"debootstrap ended with status {done.returncode}:\n{end}")


def main() -> int:
    """Each release that is missing; the exit status says whether all are there in the end."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    failed = 0
    with (cache_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for release in RELEASES.values():
            try:
                find(release)
            except NotInstalled:
                print(
                    f"setting up Kamailio {release.line} in {cache_folder() / release.suite} ...", flush=True
                )
                try:
                    install(release)
                except (CannotInstall, OSError, subprocess.CalledProcessError) as error:
                    print(f"Kamailio {release.line} (Debian {release.suite}) could not be set up: {error}")
                    print("The tests with real Kamailio nodes need it and fail without it.")
                    failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
