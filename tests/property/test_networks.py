"""Whatever a table of a network says, it is understood or refused in words."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from barasync.config.bounds import BadValue
from barasync.config.destinations import covers, parse_entry
from barasync.config.publishing import clash, parse_published

LIKELY = st.from_regex(r"[0-9a-f.:/\[\]tcpudm -]{0,30}", fullmatch=True)
NUMBERS = st.integers(1, 70_000)


@given(st.text(max_size=30) | LIKELY)
def test_any_text_is_an_entry_or_a_bad_value(text: str) -> None:
    with suppress(BadValue):
        entry = parse_entry(text)
        assert entry.text == text
        assert entry.range is None or entry.name is None
        assert entry.range or entry.name or entry.ports
        assert covers(entry, entry)


@given(st.text(max_size=30) | LIKELY)
def test_any_text_is_a_published_port_or_a_bad_value(text: str) -> None:
    with suppress(BadValue):
        port = parse_published(text)
        assert 1 <= port.container <= 65535
        assert 0 <= port.host <= 65535
        assert clash(port, port) is (port.host != 0)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_range_of_ports_covers_those_within_it(first: int, last: int, port: int) -> None:
    with suppress(BadValue):
        wide, narrow = parse_entry(f"{first}-{last}/tcp"), parse_entry(f"{port}/tcp")
        assert covers(wide, narrow) is (first <= port <= last)
        assert not covers(wide, parse_entry(f"{port}/udp"))
