"""What podman does differently from what one would expect, by version, and what is done about it.

Code that depends on a version asks this table; nothing else compares version numbers. Where a row
says *the caller*, this package cannot work around the trap alone. Every row has tests, which begin
with its name. The rows are written down by subject, and each is an attribute of this module.
"""
# ruff: noqa: F403 - the rows are named where they are written, and nowhere again

from __future__ import annotations

from barasync.aiopodman.container_quirks import *
from barasync.aiopodman.image_quirks import *
from barasync.aiopodman.network_quirks import *
from barasync.aiopodman.output_quirks import *
from barasync.aiopodman.quirk import Quirk
from barasync.aiopodman.service_quirks import *
from barasync.aiopodman.version import PodmanVersion

QUIRKS = tuple(row for row in globals().copy().values() if isinstance(row, Quirk))


def active(version: PodmanVersion) -> tuple[Quirk, ...]:
    """Return the quirks of this version, in the order of the table."""
    return tuple(quirk for quirk in QUIRKS if quirk.is_active(version.release))
