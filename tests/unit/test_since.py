"""From when on a log is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from barasync.cli.since import parse_since
from barasync.errors import ConfigError

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("0.5s", timedelta(seconds=0.5)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_a_duration_is_before_now(text: str, ago: timedelta) -> None:
    assert parse_since(text, NOON) == NOON - ago


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-11-27T11:00:00Z", datetime(2026, 11, 27, 11, tzinfo=UTC)),
        ("2026-11-27T11:00:00.25+01:00", datetime(2026, 11, 27, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-27 11:00", datetime(2026, 11, 27, 11).astimezone()),
        ("2026-11-27", datetime(2026, 11, 27).astimezone()),
        ("1795780800", NOON),
    ],
)
def test_a_time_is_itself(text: str, when: datetime) -> None:
    assert parse_since(text, NOON) == when


@pytest.mark.parametrize(
    "text", ["", "90", "s", "1m1h", "-5s", "yesterday", "2026-13-01", "9" * 30 + "d", "1\n0s"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--since"):
        parse_since(text, NOON)
