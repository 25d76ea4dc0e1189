from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barasync.config.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("0", 0),
        ("1b", 1),
        ("2k", 2048),
        ("512m", 512 * 1024**2),
        ("2g", 2 * 1024**3),
        ("2G", 2 * 1024**3),
        ("2GB", 2 * 1024**3),
        ("1.5GiB", 3 * 1024**3 // 2),
        ("1 TiB", 1024**4),
        (" 1m ", 1024**2),
        ("0.5k", 512),
        ("1.0001k", 1024),
    ],
)
def test_a_size_is_bytes_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "g", "-1g", "1e3", "1,5g", "2q", "2gg", "1 2g", ".5g", "5.g", "inf", "1_000", "٣g"]
)
def test_what_is_not_a_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write a number and a unit: '512m'"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1000, "1000 B"),
        (1024, "1 KiB"),
        (3 * 1024**3 // 2, "1536 MiB"),
        (2 * 1024**3, "2 GiB"),
        (1024**4, "1 TiB"),
    ],
)
def test_a_size_is_shown_in_the_largest_exact_unit(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(min_value=0, max_value=2**63))
def test_a_shown_size_reads_back_as_itself(size: int) -> None:
    assert parse_size(format_size(size)) == size
