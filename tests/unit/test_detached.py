"""Which containers outlive their command, told by name and labels."""

from __future__ import annotations

from barasync.engine.detached import attempt_name, detached_name, is_detached
from barasync.engine.identity import ATTEMPT, CELL, RUN

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
