"""When a registry is asked for an image."""

from __future__ import annotations

from enum import StrEnum


class Freshness(StrEnum):
    """Each time, where there is no image for the platform here, or not at all."""

    ALWAYS = "always"
    MISSING = "missing"
    NEVER = "never"
