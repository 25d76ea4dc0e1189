from __future__ import annotations

import pytest

from barasync.images.cache import step_key, step_tag

KEY = step_key("a" * 64, "RUN true\n", "")


@pytest.mark.parametrize(
    "other",
    [("b" * 64, "RUN true\n", ""), ("a" * 64, "RUN false\n", ""), ("a" * 64, "RUN true\n", "c")],
)
def test_another_parent_text_or_content_is_another_key(other: tuple[str, str, str]) -> None:
    assert step_key(*other) != KEY


def test_a_key_is_the_same_in_every_release() -> None:
    assert KEY == "d89cedf7447a2f0ff83702171b1e998eae46b8f80bb44c8ab92aaf12b8ad38a6"
    assert step_key(f"sha256:{'a' * 64}", "RUN true\n", "") == KEY


def test_a_tag_is_the_beginning_of_the_key() -> None:
    assert KEY.startswith(step_tag(KEY))
