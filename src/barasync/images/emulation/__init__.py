"""Whether this host, and a podman service, can run the programs of an architecture.

Two questions with two answers: `survey` reads what this host's kernel has registered, `check`
runs a program in a container of the service, wherever that is. `setup` mends what `survey` finds,
`require` and `require_there` refuse to go on without.
"""

from barasync.images.emulation.probe import Check, check, require_there
from barasync.images.emulation.registration import setup
from barasync.images.emulation.survey import Emulator, Host, State, require, survey
from barasync.images.emulation.version import version_of

__all__ = [
    "Check",
    "Emulator",
    "Host",
    "State",
    "check",
    "require",
    "require_there",
    "setup",
    "survey",
    "version_of",
]
