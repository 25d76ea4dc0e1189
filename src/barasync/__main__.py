"""`barasync`, or `python -m barasync`: the command line."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Load the command line and run it.

    Ctrl-C simply ends the process until that is loaded, as there is nothing to clear up: Python's
    own way is a traceback through the imports.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from barasync.cli.app import main as run  # noqa: PLC0415 - after the signal is seen to

    return run()


if __name__ == "__main__":
    sys.exit(main())
