"""From when on: a duration before now, or a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from barasync.errors import ConfigError

_DURATION = re.compile(
    r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?"
)
_SECONDS = re.compile(r"\d{9,11}(?:\.\d+)?")


def parse_since(text: str, now: datetime) -> datetime:
    """Return the time that `text` means: `90s`, `1h30m`, `2d` before `now`, or a time itself.

    A time is of ISO 8601, `2026-11-27T15:20:52Z` or `2026-11-27`, that of this host's clock where
    it has no offset; or it is in seconds since the epoch.

    Raises:
        ConfigError: it means none.
    """
    try:
        if text and (found := _DURATION.fullmatch(text)) is not None:
            days, hours, minutes, seconds = (float(each or 0) for each in found.groups())
            return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if _SECONDS.fullmatch(text) is not None:
            return datetime.fromtimestamp(float(text), UTC)
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise ConfigError(
            f"--since: {text!r} is no time",
            hint="say how long ago, as 90s or 1h30m, or when, as 2026-11-27T15:20:52Z",
        ) from None
