"""Whose an image is, by its names and labels."""

from __future__ import annotations

import pytest

from barasync.aiopodman import ImageSummary
from barasync.images.ours import declared_names, foreign_names, kind_of

BASE = "b" * 64
OTHER = "c" * 64
STEP = {"barasync.kind": "step", "barasync.base": BASE}


def image(*names: str, labels: dict[str, str] | None = None, parent: str = BASE) -> ImageSummary:
    return ImageSummary(id="a" * 64, repo_tags=list(names), labels=labels or {}, parent_id=parent)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (image("localhost/barasync/step:1", labels=STEP), "step"),
        (image("localhost/barasync/base:arm64-1", "localhost/mine:1", labels=STEP), "step"),
        (image("localhost/barasync/pulled:arm64-1", labels={"barasync.kind": "step"}), "pulled"),
        (image("localhost/barasync/base:arm64-1"), "image"),
        (image(labels=STEP), "step"),
        (image(labels={"barasync.kind": "bootstrap"}, parent=""), "bootstrap"),
        (image("localhost/mine:1", labels=STEP), ""),
        (image("docker.io/barasync/step:1", labels=STEP), ""),
        (image("localhost/barasyncs:1"), ""),
        (image(labels=STEP, parent=OTHER), ""),
        (image(labels={"barasync.kind": "bootstrap"}), ""),
        (image(labels={"barasync.kind": "step"}, parent=""), ""),
        (image(parent=""), ""),
    ],
)
def test_an_image_is_ours_by_its_name_or_by_being_just_what_its_labels_say(
    found: ImageSummary, kind: str
) -> None:
    assert kind_of(found) == kind


def test_the_declared_images_that_an_image_is_are_in_its_names() -> None:
    found = image(
        "localhost/barasync/step:1",
        "localhost/barasync/base:arm64-1",
        "localhost/barasync/tool.chain:arm64-2",
        "localhost/other:1",
    )

    assert declared_names(found) == {"base", "tool.chain"}


def test_only_a_tag_of_its_content_is_no_name_of_somebody_else() -> None:
    own = ("localhost/barasync/step:1", "localhost/barasync/project:arm64-1")
    content = f"localhost/project:{'1a' * 6}"
    others = (
        "localhost/project:latest",
        f"localhost/other:{'1a' * 6}",
        f"localhost/project:{'1a' * 7}",
        f"example.org/project:{'1a' * 6}",
    )

    assert foreign_names(image(*own, content, *others)) == others
