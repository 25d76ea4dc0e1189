"""Mistakes in what multiplies the cells of a matrix, told before anything is made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rig.command import Barasync


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rule-each", "a", "b", "a"), "--rule-each: the rule 'a' is given twice"),
        (("--rule-each", "a", ""), "--rule-each: the name of a rule is empty"),
        (("--rule-each", "a/b", "a:b"), "both make cell"),
        (("--rule-each",), "RULE is missing"),
        (("--repeat", "0", "a"), "0 is less than 1"),
        (("--repeat", "x", "a"), "'x' is not a whole number"),
        (("--repeat", "1000000", "a"), "100000 are the most"),
        (("--repeat",), "--repeat has no value"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    barasync = Barasync(tmp_path, "unix:///nowhere", {**os.environ, "NO_COLOR": "1"})
    barasync.configure('[defaults]\nimage = "debian"\n')
    ended = barasync("matrix", *words)

    assert (ended.code, ended.out) == (2, "")
    assert message in " ".join(ended.err.split())
    assert not (tmp_path / ".barasync").exists()
