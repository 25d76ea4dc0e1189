"""The parts that all tests fall into: each is a session of pytest, and may run beside another."""

from __future__ import annotations

from enum import StrEnum


class Part(StrEnum):
    """The contract tests of this host's podman, those of Debian 13's, and what needs neither."""

    HOST = "host"
    TRIXIE = "trixie"
    REST = "rest"
