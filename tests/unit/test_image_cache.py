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
    assert KEY == "3d1d71512df92be2c3115bafc7388a8bc4ebfb8a5a663479dcaa52142601e496"
    assert step_key(f"sha256:{'a' * 64}", "RUN true\n", "") == KEY


def test_a_tag_is_the_beginning_of_the_key() -> None:
    assert KEY.startswith(step_tag(KEY))
