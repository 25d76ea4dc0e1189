"""Which images barasync made: told by their labels and names together."""

from __future__ import annotations

import pytest

from barasync.aiopodman import ImageSummary
from barasync.images.inventory import listed_kind
from barasync.report.words import age

BASE = "b" * 64
OWN = "localhost/barasync"
SNAP = {
    "barasync.kind": "snapshot",
    "barasync.name": "localhost/snap:1",
    "barasync.base": BASE,
}
KEPT = {
    "barasync.kind": "kept",
    "barasync.name": f"{OWN}/kept:20261127-101500-2c3d-amd64",
    "barasync.base": BASE,
}
STEP = {"barasync.kind": "step", "barasync.base": BASE}
LAYER = {"barasync.kind": "workspace", "barasync.base": BASE}
BOOTSTRAP = {"barasync.kind": "bootstrap"}
PROGRAM = {"barasync.kind": "probe"}


def told(labels: dict[str, str], *names: str, parent: str = "") -> str:
    return listed_kind(ImageSummary(id="1", repo_tags=list(names), labels=labels, parent_id=parent))


@pytest.mark.parametrize(
    ("labels", "names", "parent", "made"),
    [
        (SNAP, ["localhost/snap:1"], BASE, "snapshot"),
        (SNAP, ["localhost/other:1", "localhost/snap:1"], "", "snapshot"),
        (SNAP, [], BASE, "snapshot"),
        (KEPT, [KEPT["barasync.name"]], BASE, "kept"),
        (KEPT, [KEPT["barasync.name"], "localhost/mine:1"], BASE, "kept"),
        (KEPT, [], BASE, "kept"),
        (STEP, [f"{OWN}/step:0123"], BASE, "step"),
        (STEP, [f"{OWN}/step:0123", f"{OWN}/rust:amd64-0123"], BASE, "image"),
        (STEP, [], BASE, "step"),
        (LAYER, [f"{OWN}/workspace:0123"], BASE, "workspace"),
        (LAYER, [], BASE, "workspace"),
        (BOOTSTRAP, [f"{OWN}/base:amd64-0123"], "", "bootstrap"),
        (BOOTSTRAP, [], "", "bootstrap"),
        (PROGRAM, [f"{OWN}/probe:amd64"], "", "probe"),
        ({}, [f"{OWN}/pulled:amd64-0123", "docker.io/library/x:1"], "", "pulled"),
        (STEP, [f"{OWN}/pulled:amd64-0123"], "", "pulled"),
    ],
)
def test_an_image_is_told_by_its_label_and_its_name_or_its_parent(
    labels: dict[str, str], names: list[str], parent: str, made: str
) -> None:
    assert told(labels, *names, parent=parent) == made


@pytest.mark.parametrize("labels", [SNAP, KEPT, STEP, LAYER, BOOTSTRAP, PROGRAM])
@pytest.mark.parametrize("name", [None, "localhost/mine:1"])
def test_what_was_made_of_one_inherits_its_labels_and_is_not_one(
    labels: dict[str, str], name: str | None
) -> None:
    names = [] if name is None else [name]

    assert told(labels, *names, parent="c" * 64) == ""


def test_the_image_of_somebody_else_is_none() -> None:
    assert told({}, "docker.io/library/debian:trixie") == ""
    assert told({"own": "label"}, "localhost/mine:1", parent=BASE) == ""
    assert told({"barasync.kind": "bootstrap"}, "localhost/mine:1") == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (200_000, "2 d")],
)
def test_an_age_has_one_unit(seconds: float, said: str) -> None:
    assert age(seconds) == said
