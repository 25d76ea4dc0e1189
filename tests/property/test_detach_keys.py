"""What is typed reaches the container in order, but for the keys that leave it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from barasync.cli.terminals.detach_keys import DEFAULT, DetachKeys, parse_detach_keys
from barasync.errors import ConfigError

# Few letters, so that keys and their beginnings come often.
letters = st.binary(max_size=30).map(lambda data: bytes(97 + byte % 3 for byte in data))


@given(keys=letters.map(lambda keys: keys[:5]), pieces=st.lists(letters, max_size=8))
@example(keys=b"aab", pieces=[b"a", b"a", b"a", b"b"])
@example(keys=b"abab", pieces=[b"abaab", b"ab"])
def test_all_before_the_first_keys_is_passed_on_however_it_is_cut(
    keys: bytes, pieces: list[bytes]
) -> None:
    typed = b"".join(pieces)
    before, found, _ = typed.partition(keys) if keys else (typed, b"", b"")
    parser = DetachKeys(keys)

    passed = b"".join(parser.feed(piece) for piece in pieces)

    assert parser.detached == bool(found)
    assert before.startswith(passed)
    held = before[len(passed) :]
    assert not held if found else keys.startswith(held)


@given(keys=letters, data=letters)
def test_no_more_is_held_than_could_become_the_keys(keys: bytes, data: bytes) -> None:
    parser = DetachKeys(keys)

    passed = parser.feed(data)

    if not parser.detached:
        held = data[len(passed) :]
        assert keys.startswith(held)
        assert held != keys or not keys


def test_the_default_is_what_podman_has() -> None:
    assert parse_detach_keys(DEFAULT) == b"\x10\x11"


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", b""), ("q", b"q"), ("ctrl-@,ctrl-[,ctrl-_", b"\0\x1b\x1f"), ("a,b", b"ab")],
)
def test_keys_are_written_as_in_podman(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize(
    "text", ["ctrl-", "ctrl-é", "ctrl-ab", "ctrl-1", "é", "a,", ",", "shift-a"]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no key"):
        parse_detach_keys(text)
