"""Rows of `quirks`: networks."""

from __future__ import annotations

from barasync.aiopodman.quirk import Quirk

INTERFACE_NAMES_ARE_NOT_CHECKED = Quirk(
    name="interface-names-are-not-checked",
    trap="a network is made whatever its interface is called, and fails when it is used",
    workaround="networks.create refuses a name of more than 15 characters",
    evidence="measured on 4.3.1 and 5.4.2",
)
