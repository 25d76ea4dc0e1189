"""`barasync`, or `python -m barasync`: the command line."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Load the command line and run it, with all three standard streams.

    Ctrl-C simply ends the process until that is loaded, as there is nothing to clear up: Python's
    own way is a traceback through the imports.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from barasync.cli.standard_streams import complete  # noqa: PLC0415 - after the signal

    complete()
    from barasync.cli.app import main as run  # noqa: PLC0415 - it may open files

    return run()


if __name__ == "__main__":
    sys.exit(main())
