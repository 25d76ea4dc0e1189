"""What `barasync image prune` takes and says."""

from __future__ import annotations

import json

import pytest
import typer

from barasync.cli.image_prune import as_document, parse_age, told
from barasync.engine.pruning import Gone, Pruned

STEP = Gone(id="a" * 64, kind="step", names=("localhost/barasync/step:1",), bytes=2048)
NAMELESS = Gone(id="b" * 64, kind="bootstrap", names=(), bytes=1)
PRUNED = Pruned(images=(STEP, NAMELESS), lists=("localhost/project:1",))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("12h", 43_200),
        ("14d", 1_209_600),
        ("1.5w", 907_200),
        ("2 d", 172_800),
    ],
)
def test_an_age_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "14", "d", "-1d", "1y", "1d2h", "nand", "1e3d"])
def test_what_is_no_age_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="14d"):
        parse_age(text)


def test_a_line_says_of_everything_that_it_went_and_the_last_what_that_freed() -> None:
    assert told(PRUNED, dry_run=False) == [
        "localhost/barasync/step:1 (step, 2.0 KiB): removed",
        "bbbbbbbbbbbb (bootstrap, 1 B): removed",
        "localhost/project:1 (manifest list): removed",
        "2 images removed, 2.0 KiB (2049 bytes) freed",
    ]


def test_a_dry_run_says_what_would_be() -> None:
    first, *_, last = told(PRUNED, dry_run=True)

    assert first == "localhost/barasync/step:1 (step, 2.0 KiB): would be removed"
    assert last == "2 images would be removed, 2.0 KiB (2049 bytes) would be freed"


def test_a_run_on_whose_account_nothing_goes_is_named_with_the_next_step() -> None:
    (line,) = told(Pruned(busy="r1"), dry_run=False)

    assert "run r1" in line
    assert "try again when it has ended" in line


def test_nothing_to_remove_is_said() -> None:
    assert told(Pruned(), dry_run=False) == ["nothing to remove"]


def test_the_document_has_sizes_in_bytes() -> None:
    document = json.loads(as_document(PRUNED))

    assert document["bytes"] == 2049
    assert document["lists"] == ["localhost/project:1"]
    assert document["busy"] == ""
    assert document["images"][0] == {
        "id": "a" * 64,
        "kind": "step",
        "names": ["localhost/barasync/step:1"],
        "bytes": 2048,
    }
