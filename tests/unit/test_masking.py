"""Values that do not show, and `***` in the place of those that would."""

from __future__ import annotations

import copy
import json
import pickle
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from barasync.masking import search
from barasync.masking.masker import LEAST_LINE_BYTES, MOST_LINES, Masker, not_masked
from barasync.masking.value import SecretValue

TOKEN = b"hunter2-0123456789"
PEM = b"-----BEGIN KEY-----\r\nMIIEvQIBADAN\r\nshort\r\n-----END KEY-----\r\n"


def masker(*values: bytes) -> Masker:
    return Masker(map(SecretValue, values))


def masked(data: bytes, *values: bytes) -> bytes:
    stream = masker(*values).stream()
    return stream.feed(data) + stream.finish()


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda value: f"{[value]}"])
def test_a_value_does_not_show(show: Callable[[object], str]) -> None:
    assert "hunter2" not in show(SecretValue(TOKEN))
    assert "SecretValue(***)" in show(SecretValue(TOKEN))


@pytest.mark.parametrize(
    "store",
    [pickle.dumps, json.dumps, msgspec.json.encode, copy.copy, msgspec.to_builtins],
    ids=["pickle", "json", "msgspec", "copy", "builtins"],
)
def test_a_value_cannot_be_stored(store: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        store(SecretValue(TOKEN))


def test_a_value_is_replaced_wherever_it_is() -> None:
    assert masked(b"a" + TOKEN + b"b" + TOKEN, TOKEN) == b"a***b***"


def test_white_space_around_a_value_is_not_part_of_it() -> None:
    assert masked(b"a " + TOKEN + b" b", b"  " + TOKEN + b"\n") == b"a *** b"
    assert masked(b"a b\n", b" \n") == b"a b\n"


def test_each_line_of_a_value_is_replaced_too_unless_it_is_short() -> None:
    assert masked(PEM.replace(b"\r", b""), PEM) == b"***\n***\nshort\n***\n"
    assert masked(b"key: MIIEvQIBADAN!", PEM) == b"key: ***!"
    assert masked(PEM, PEM) == b"***\r\n"
    assert LEAST_LINE_BYTES == 8
    assert masked(b"1234567 12345678", b"1234567\n12345678") == b"1234567 ***"


def test_of_very_many_lines_the_first_are_replaced_one_by_one() -> None:
    lines = [b"line %08d" % number for number in range(MOST_LINES + 1)]
    value = b"\n".join(lines)

    assert not_masked(value) == ("those after the first 256",)
    assert not_masked(b"\n".join(lines[:-1]) + b"\n") == ()
    assert masked(lines[0] + b"," + lines[-2] + b"," + lines[-1], value) == (
        b"***,***," + lines[-1]
    )
    assert masked(b"<" + value + b">", value) == b"<***>"


@pytest.mark.parametrize(
    ("value", "short"),
    [
        (b"1234567\n12345678", True),
        (b"12345678\r\n 1234567 \r\n", True),
        (b'{\n"key": "hunter2"\n}\n', True),
        (b"12345678\n12345678\n", False),
        (b"12345678\n\n \n12345678\n", False),
        (b" short\n", False),
    ],
)
def test_lines_that_are_not_replaced_one_by_one_are_told_of(value: bytes, short: bool) -> None:
    assert not_masked(value) == ("those of fewer than 8 bytes",) * short


def test_values_that_overlap_or_touch_become_one_mask() -> None:
    assert masked(b"-abcdef-", b"abcd", b"cdef") == b"-***-"
    assert masked(b"-abab-", b"ab") == b"-***-"
    assert masked(b"ababa", b"aba") == b"***"


def test_only_what_may_become_a_value_is_held_back() -> None:
    stream = masker(TOKEN).stream()

    assert stream.feed(b"Password: h") == b"Password: "
    assert stream.feed(b"unter") == b""
    assert stream.feed(b"s? ") == b"hunters? "
    assert stream.feed(TOKEN[:-1]) == b""
    assert stream.feed(TOKEN[-1:]) == b"***"
    assert stream.feed(b"h") == b""
    assert stream.finish() == b"h"


def test_text_is_masked_whatever_is_in_it() -> None:
    hide = masker(TOKEN, "schlüssel".encode(), b"\xa9")

    assert hide.text(f"podman: {TOKEN.decode()} schlüssel") == "podman: *** ***"
    assert hide.text("caf\udce9") == r"caf\xe9"
    assert hide.text("lone \ud800") == r"lone \ud800"
    assert hide.text("é") == r"\xc3***"
    assert Masker().text("caf\udce9") == "caf\udce9"


def test_without_values_there_is_nothing_to_mask() -> None:
    assert not masker()
    assert not masker(b"\n")
    assert masker(b"x")


@pytest.mark.parametrize("value", [b"a" * 300 + b"b", b"a" * 300, b"ab" * 150 + b"c"])
def test_masking_takes_linear_time_for_the_worst_of_values(
    value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """White box: a comparison costs what it finds to be the same, so their sum is the time."""
    costs: list[int] = []
    common = search._common

    def counted(*where: Any) -> int:
        same = common(*where)
        costs.append(1 + same)
        return same

    monkeypatch.setattr(search, "_common", counted)
    stream = masker(value).stream()
    for _ in range(100):
        stream.feed(value[:-1][:200])
    stream.finish()

    assert 0 < sum(costs) < 4 * 100 * 200


@pytest.mark.parametrize(
    "value",
    [
        random.Random(1).randbytes(100_000).translate(None, delete=b"\n\r\v\f"),
        b"\n".join([b"line %04d" % number for number in range(200)] * 50),
    ],
    ids=["one line", "many lines"],
)
def test_a_piece_costs_no_more_where_much_is_held_back(value: bytes) -> None:
    """White box: what is copied has to be allocated first, and that is counted."""
    stream = masker(value).stream()
    assert stream.feed(value[:-1000]) == b""
    costs = 0
    tracemalloc.start()
    try:
        for position in range(len(value) - 1000, len(value) - 1):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            assert stream.feed(value[position : position + 1]) == b""
            costs += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    # The buffer itself grows now and then.
    assert costs < 1000 * 1000 + 2 * len(value)
    assert stream.feed(value[-1:]) == b"***"


def test_what_is_held_back_is_given_away_piece_by_piece_at_no_more_cost() -> None:
    value = b"a" * 100_000 + b"b"
    stream = masker(value).stream()
    assert stream.feed(value[:-1]) == b""
    costs = 0
    tracemalloc.start()
    try:
        for _ in range(1000):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            assert stream.feed(b"a") == b"a"
            costs += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert costs < 1000 * 1000 + 2 * len(value)
    assert stream.finish() == value[:-1]


def test_a_value_that_is_not_utf_8_is_masked_in_text_too() -> None:
    hide = masker(b"hunter2-\xff-abcdefgh")
    name = b"file of hunter2-\xff-abcdefgh \xe9".decode("utf-8", "surrogateescape")

    assert hide.text(name) == r"file of *** \xe9"
