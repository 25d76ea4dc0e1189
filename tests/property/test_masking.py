"""Masking against its definition: every byte of every occurrence, however the bytes are fed."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from barasync.masking.masker import MASK, Masker, to_mask
from barasync.masking.search import Search, Word
from barasync.masking.value import SecretValue

# Few letters, so that values occur, overlap themselves and each other, and nearly occur.
few = st.text("ab\n", max_size=60).map(str.encode)
words = st.text("ab", min_size=1, max_size=12).map(str.encode)
values = st.lists(
    st.one_of(words, st.text("ab\n ", min_size=1, max_size=40).map(str.encode)),
    min_size=1,
    max_size=4,
)


@st.composite
def cut(draw: st.DrawFn) -> list[bytes]:
    """Output that holds values, in pieces."""
    text = b"".join(draw(st.lists(st.one_of(few, words), max_size=8)))
    ends = draw(st.lists(st.integers(0, len(text)), max_size=12))
    return [text[start:end] for start, end in pairwise(sorted([0, *ends, len(text)]))]


def masked_by_definition(text: bytes, wanted: list[bytes]) -> bytes:
    hidden = bytearray(len(text))
    for word in wanted:
        for start in range(len(text) - len(word) + 1):
            if text.startswith(word, start):
                hidden[start : start + len(word)] = b"\1" * len(word)
    result = b""
    for position, byte in enumerate(text):
        if not hidden[position]:
            result += bytes([byte])
        elif position == 0 or not hidden[position - 1]:
            result += MASK
    return result


def fed(masker: Masker, pieces: list[bytes]) -> bytes:
    stream = masker.stream()
    return b"".join([stream.feed(piece) for piece in pieces]) + stream.finish()


@given(values, cut())
@example([b"aba", b"abab"], [b"ab", b"abab", b"a"])
@example([b"aa"], [b"a", b"a", b"a"])
@example([b"aab"], [b"aa", b"a", b"", b"b"])
def test_masking_is_what_it_is_defined_as_in_whatever_pieces(
    secrets: list[bytes], pieces: list[bytes]
) -> None:
    masker = Masker(map(SecretValue, secrets))
    wanted = [word for secret in secrets for word in to_mask(secret)]

    masked = fed(masker, pieces)

    assert masked == masked_by_definition(b"".join(pieces), wanted)
    assert not [word for word in wanted if word in masked]


@given(st.lists(st.binary(min_size=1, max_size=5), min_size=1, max_size=3), st.data())
def test_any_bytes_are_masked_in_any_output(secrets: list[bytes], data: st.DataObject) -> None:
    some = st.one_of(st.binary(max_size=8), st.sampled_from(secrets))
    pieces = data.draw(st.lists(some, max_size=10))
    wanted = [word for secret in secrets for word in to_mask(secret)]

    masked = fed(Masker(map(SecretValue, secrets)), pieces)

    assert masked == masked_by_definition(b"".join(pieces), wanted)


@given(values, cut())
def test_what_is_held_back_may_still_become_a_value(
    secrets: list[bytes], pieces: list[bytes]
) -> None:
    masker = Masker(map(SecretValue, secrets))
    wanted = [word for secret in secrets for word in to_mask(secret)]
    text, stream, given_away = b"", masker.stream(), b""

    for piece in pieces:
        text += piece
        given_away += stream.feed(piece)
        begun = [
            length
            for word in wanted
            for length in range(1, len(word))
            if text.endswith(word[:length])
        ]
        decided = masked_by_definition(text, wanted)
        if not begun:
            assert given_away == decided
        else:
            # No more is held back than the longest beginning, and what may hide it.
            assert given_away == masked_before(text, wanted, len(text) - max(begun))


def masked_before(text: bytes, wanted: list[bytes], end: int) -> bytes:
    """What is decided of `text` up to `end`, a `***` that goes on beyond it included."""
    hidden = {
        position
        for word in wanted
        for start in range(len(text) - len(word) + 1)
        if text.startswith(word, start)
        for position in range(start, start + len(word))
    }
    result = b""
    for position in range(end):
        if position not in hidden:
            result += text[position : position + 1]
        elif position - 1 not in hidden:
            result += MASK
    return result


@given(words, cut())
def test_a_search_finds_every_place(word: bytes, pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    places = [start for start in range(len(text)) if text.startswith(word, start)]
    search, offset, found = Search(Word.of(word)), 0, []
    for piece in pieces:
        found += search.feed(piece, offset)
        offset += len(piece)

    hidden = {position for start in places for position in range(start, start + len(word))}
    assert {position for span in found for position in range(*span)} == hidden
    assert search.begun == max(
        length for length in range(len(word)) if text.endswith(word[:length])
    )
