"""``python -m dmqcache`` is ``dmqcache``."""

from __future__ import annotations

import signal
import sys


def outlive_hang_ups() -> None:
    """A node without a terminal is told by SIGHUP to read its files again: told so while it is loaded or
    started, it must not end, it has yet to read them."""
    if not sys.stderr.isatty() and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda number, frame: None)


def main() -> None:
    """Run the command line. Ctrl-C while it is loaded just ends it: there is nothing yet to be tidied up, and
    nobody who would turn the interruption of an import into a line."""
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if "serve" in sys.argv[1:]:
        outlive_hang_ups()
    from dmqcache.cli import app as cli

    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
