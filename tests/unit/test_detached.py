"""Which containers outlive their command, told by name and labels."""

from __future__ import annotations

import pytest

from barasync.config.load import parse as parse_document
from barasync.config.origin import Origin
from barasync.engine.detached import attempt_name, bound_to_command, detached_name, is_detached
from barasync.engine.identity import ATTEMPT, CELL, RUN
from barasync.matrix.plan import Request, plan
from barasync.matrix.platforms import parse

LABELS = {RUN: "r1", CELL: "amd64", ATTEMPT: "2"}
NAME = attempt_name("r1", "amd64", 2)


def test_a_container_that_was_renamed_outlives_its_command() -> None:
    assert is_detached([detached_name(NAME)], LABELS)


def test_a_container_under_the_name_of_its_attempt_does_not() -> None:
    assert not is_detached([NAME], LABELS)


def test_a_service_by_the_name_of_detached_does_not() -> None:
    assert not is_detached([f"{NAME}-beside-detached"], LABELS)


def test_somebodys_container_of_a_snapshot_does_not() -> None:
    assert not is_detached(["mine-detached"], LABELS)


def test_a_container_without_the_labels_of_an_attempt_does_not() -> None:
    assert not is_detached([detached_name(NAME)], {RUN: "r1"})
    assert not is_detached([], LABELS)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("", None),
        ('network = "private"', None),
        ('network = "some"', "network 'some' names hosts, which only this command resolves"),
        ('services = [{ name = "db", image = "x", ready = "true" }]', "its services end"),
    ],
)
def test_what_needs_the_command_cannot_outlive_it(settings: str, reason: str | None) -> None:
    text = f'[defaults]\nimage = "x"\n{settings}\n[network.some]\nallow = ["example.com 443/tcp"]\n'
    request = Request(native=parse("amd64"), rule="r", document=parse_document(text, Origin()))
    (cell,) = plan(request).cells

    said = bound_to_command(cell)

    assert (said is None) if reason is None else (said is not None and said.startswith(reason))
