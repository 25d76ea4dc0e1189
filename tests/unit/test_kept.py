"""What is kept of failed cells: its name, the settings that are remembered, and how it is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from barasync.config.schema import CellSettings, CellTable, WorkspaceMode
from barasync.config.services import Healthy, ListensAt, Service, parse_services
from barasync.errors import ConfigError
from barasync.images.kept import kept_name
from barasync.matrix.kept import KeptSettings
from barasync.matrix.outcome import Outcome, Snapshot, Status
from barasync.matrix.platforms import Platform
from barasync.report.files import RunDirectory, runs_directory
from barasync.report.jsonl import EventLog, encode
from barasync.report.kept import LAST, find_kept
from barasync.report.result import reduce_events, write_result
from tests.unit.report_examples import CANCELLED, FAILED, PASSED, finished, run_started

OLD = "20261126-101500-0a1b"
NEW = "20261127-101500-2c3d"
IMAGE = "4" * 64
SETTINGS = KeptSettings(
    workspace=WorkspaceMode.LAYER,
    network="private",
    memory=1 << 30,
    pids=512,
    volumes=("/srv/data:/data:ro",),
    secrets=("TOKEN=env:CI_TOKEN",),
)
KEPT = replace(
    FAILED,
    snapshot=Snapshot(
        name="localhost/barasync/kept:x", image=IMAGE, bytes=7, kept=True, settings=SETTINGS
    ),
)
FULL = Snapshot(name="localhost/barasync/kept:y", problem="no space left on device", kept=True)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return runs_directory(tmp_path)


def record(
    runs: Path,
    run: str,
    outcomes: Mapping[str, Outcome | None],
    *,
    ended: bool = True,
    at: float | None = None,
) -> None:
    """Write what a run of these cells leaves; one without an outcome has not ended.

    It began `at` that time, in seconds since 1970, else in the order of the IDs.
    """
    began = at or float(run[:8])
    directory = RunDirectory(runs / run)
    directory.path.mkdir(parents=True)
    events = [
        msgspec.structs.replace(run_started(*outcomes), at=began),
        *(finished(cell, outcome) for cell, outcome in outcomes.items() if outcome is not None),
    ]
    with EventLog(directory.events) as log:
        for event in events:
            log.emit(event)
    if ended:
        write_result(directory.result, reduce_events(events))


# The name


def test_the_name_of_a_kept_image_has_the_run_and_the_cell() -> None:
    assert str(kept_name(NEW, "amd64-Debug_1.0")) == (
        f"localhost/barasync/kept:{NEW}-amd64-Debug_1.0"
    )


def test_cells_whose_names_are_too_long_for_a_tag_still_have_names_of_their_own() -> None:
    cells = [f"loong64-{'x' * 99}{end}" for end in "ab"]

    tags = [kept_name(NEW, cell).tag for cell in cells]

    assert [len(tag) for tag in tags] == [128, 128]
    assert tags[0] != tags[1]
    assert kept_name(NEW, cells[0]).tag == tags[0]


# What is remembered


def test_remembered_limits_are_laid_over_those_of_the_project_also_where_there_was_none() -> None:
    settings = CellSettings(
        memory=1 << 20,
        cpus=None,
        pids=None,
        network="none",
        workspace=WorkspaceMode.OVERLAY,
        stop_grace=5.0,
    )

    assert KeptSettings.of(settings).table() == CellTable(
        memory=1 << 20,
        cpus=0,
        pids=0,
        network="none",
        workspace=WorkspaceMode.OVERLAY,
        stop_grace=5.0,
        cap_add=[],
        secrets=[],
        volumes=[],
        caches=[],
        services=[],
    )


def test_a_workspace_that_was_a_layer_is_in_the_image_and_not_made_anew() -> None:
    assert SETTINGS.table().workspace is WorkspaceMode.NONE


@pytest.mark.parametrize(
    "service",
    [
        Service(name="db", image="postgres:16"),
        Service(
            name="db",
            image="database",
            native=True,
            ready=("pg_isready", "-q"),
            ready_timeout=7.5,
            command=("postgres", "-c", "fsync=off"),
            env={"A": "1"},
            user="postgres",
            memory=1 << 30,
            cpus=0.5,
        ),
        Service(name="db", image="database", ready=ListensAt(5432)),
        Service(name="db", image="database", ready=Healthy()),
    ],
)
def test_a_service_is_remembered_as_it_was_with_the_image_that_it_had(service: Service) -> None:
    remembered = KeptSettings.of(CellSettings(services=(service,)), [(service, IMAGE)])

    read = msgspec.json.decode(encode(remembered), type=KeptSettings)

    (table,) = read.table().services
    assert parse_services([table]) == (replace(service, image=IMAGE),)
    assert read.services[0].asked == service.image


# The search


@pytest.mark.parametrize("run", [NEW, NEW[:8], LAST])
def test_a_kept_cell_is_found_by_its_run_the_beginning_of_it_or_as_the_last(
    runs: Path, run: str
) -> None:
    record(runs, OLD, {"amd64": KEPT})
    record(runs, NEW, {"amd64": KEPT, "arm64": PASSED})
    (runs / "latest").symlink_to(OLD)

    found = find_kept(runs, run, "amd64")

    assert (found.run, found.cell, found.status) == (NEW, "amd64", Status.FAILED)
    assert (found.image, found.name, found.asked) == (IMAGE, "localhost/barasync/kept:x", "base")
    assert (found.platform, found.config) == (Platform("amd64"), None)
    assert found.settings == SETTINGS


def test_the_order_of_runs_is_that_of_their_beginnings_not_of_a_clock_that_is_set_back(
    runs: Path,
) -> None:
    record(runs, NEW, {"amd64": KEPT}, at=1000.0)
    record(runs, OLD, {"amd64": KEPT}, at=1001.5)
    (runs / "20261128-000000-ffff").mkdir()

    assert find_kept(runs, LAST, "amd64").run == OLD
    with pytest.raises(ConfigError) as raised:
        find_kept(runs, "2026", "amd64")
    assert raised.value.hint == f"the last: {OLD}, {NEW}, 20261128-000000-ffff"


def test_of_runs_that_began_in_the_same_second_the_later_one_is_the_last(runs: Path) -> None:
    """Their IDs are told apart by what is drawn by lot."""
    first, second = f"{NEW[:15]}-ffff", f"{NEW[:15]}-0000"
    record(runs, first, {"amd64": KEPT}, at=1000.1)
    record(runs, second, {"amd64": KEPT}, at=1000.2)

    assert find_kept(runs, LAST, "amd64").run == second


def test_the_last_run_is_the_last_of_which_something_was_kept(runs: Path) -> None:
    record(runs, OLD, {"amd64": KEPT})
    record(runs, NEW, {"amd64": PASSED})
    (runs / "20261128-000000-ffff").mkdir()

    assert find_kept(runs, LAST, "amd64").run == OLD


def test_a_cell_of_a_run_that_goes_on_is_found_once_it_has_ended(runs: Path) -> None:
    record(runs, NEW, {"amd64": KEPT, "arm64": None}, ended=False)

    assert find_kept(runs, LAST, "amd64").image == IMAGE
    with pytest.raises(ConfigError, match=f"cell arm64 of run {NEW} has no verdict"):
        find_kept(runs, LAST, "arm64")


def test_a_snapshot_of_a_cell_that_failed_is_as_good(runs: Path) -> None:
    snapshot = Snapshot(name="localhost/mine:1", image=IMAGE, settings=SETTINGS)
    record(
        runs,
        NEW,
        {"amd64": replace(FAILED, snapshot=snapshot), "arm64": replace(PASSED, snapshot=snapshot)},
    )

    found = find_kept(runs, LAST, "amd64")

    assert (found.name, found.settings) == ("localhost/mine:1", SETTINGS)
    with pytest.raises(ConfigError, match=r"cell arm64 of run .* passed"):
        find_kept(runs, NEW, "arm64")


@pytest.mark.parametrize(
    ("run", "cell", "said", "hint"),
    [
        (NEW, "amr64", "no cell 'amr64'; did you mean 'arm64'?", "it has kept arm64"),
        (NEW, "armhf", f"cell armhf of run {NEW} passed", "it has kept arm64"),
        (NEW, "ppc64el", "was cancelled", "it has kept arm64"),
        (NEW, "riscv64", "was not kept$", "it has kept arm64"),
        (NEW, "s390x", "was not kept: no space left on device", "it has kept arm64"),
        (NEW.replace("27", "28"), "arm64", f"did you mean '{NEW}'?", f"the last: {NEW}, {OLD}"),
        ("2026", "arm64", "2026 is the beginning of the IDs of 2 runs", f"the last: {NEW}, {OLD}"),
        ("lats", "arm64", "there is no run 'lats' in .*; did you mean 'last'?", "the last: "),
        ("", "arm64", "there is no run ''", "the last: "),
        ("..", "arm64", "there is no run '..'", "the last: "),
        (f"../runs/{NEW}", "arm64", "there is no run ", "the last: "),
        (OLD, "amd64", "was not kept$", "run it again with --keep-failed"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(
    runs: Path, run: str, cell: str, said: str, hint: str
) -> None:
    record(runs, OLD, {"amd64": FAILED})
    record(
        runs,
        NEW,
        {
            "arm64": KEPT,
            "armhf": PASSED,
            "ppc64el": CANCELLED,
            "riscv64": FAILED,
            "s390x": replace(FAILED, snapshot=FULL),
        },
    )

    with pytest.raises(ConfigError, match=said.replace("?", r"\?")) as raised:
        find_kept(runs, run, cell)

    assert raised.value.hint is not None
    assert hint in raised.value.hint


def test_without_any_run_or_anything_kept_that_is_what_is_said(runs: Path) -> None:
    with pytest.raises(ConfigError, match="there is no run in "):
        find_kept(runs, LAST, "amd64")
    record(runs, NEW, {"amd64": FAILED})
    with pytest.raises(ConfigError, match="nothing was kept of any run") as raised:
        find_kept(runs, LAST, "amd64")
    assert raised.value.hint == "run it again with --keep-failed"


@pytest.mark.parametrize("content", ["", "{}", '{"cells": [{"id": 1}]}', "\x00"])
def test_a_result_that_is_none_is_named(runs: Path, content: str) -> None:
    record(runs, NEW, {"amd64": KEPT})
    (runs / NEW / "result.json").write_text(content)

    with pytest.raises(ConfigError, match=r"result\.json is no result of a run"):
        find_kept(runs, NEW, "amd64")
