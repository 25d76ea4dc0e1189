"""A run over a podman in memory: every way it can end gives every cell an outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import CommandNotFound, Mount, ServerError, Stream
from barasync.artifacts.place import below
from barasync.config.schema import WorkspaceMode
from barasync.engine.memory import Shortage
from barasync.events import (
    AdmissionHeld,
    AnyEvent,
    CellFinished,
    CellLeaked,
    CellStarted,
    ContainerStarted,
)
from barasync.matrix.outcome import OutputCounts, Status
from barasync.matrix.platforms import Platform
from tests.unit.archives import member, pack
from tests.unit.fake_podman import FOREVER, Script, refused
from tests.unit.world import World

pytestmark = pytest.mark.anyio


async def test_all_cells_pass_and_nothing_is_left() -> None:
    world = World({"a": Script(output=((Stream.STDOUT, b"hello"),)), "b": Script()})
    result = await world.result()

    assert [outcome.status for outcome in result.outcomes.values()] == [Status.PASSED] * 2
    assert result.exit_code == 0
    assert result.outcomes["a"].output.stdout_bytes == 5
    assert world.podman.present == {}


async def test_containers_are_created_by_id_with_labels_and_a_dead_mans_switch() -> None:
    world = World({"a": Script()}, timeout=1.5, memory=64 << 20)
    await world.result()
    (spec,) = world.podman.created

    assert spec.image == "image-id"
    assert spec.labels == {
        "barasync.run": "run1",
        "barasync.cell": "a",
        "barasync.attempt": "1",
        "barasync.workspace": "layer",
    }
    assert spec.timeout == 32
    assert spec.memory_bytes == 64 << 20


async def test_no_more_cells_run_at_once_than_allowed() -> None:
    world = World({name: Script() for name in "abcdef"}, jobs=2)
    most = 0

    def watch(event: AnyEvent) -> None:
        nonlocal most
        if isinstance(event, ContainerStarted):
            most = max(most, len(world.podman.present))

    world.recorder.on_event = watch
    await world.result()

    assert most <= 2


async def test_a_failing_cell_fails_the_run_and_no_other_cell() -> None:
    world = World({"a": Script(exit_code=3), "b": Script()})
    result = await world.result()

    assert result.outcomes["a"].status is Status.FAILED
    assert result.outcomes["a"].exit_code == 3
    assert result.outcomes["b"].status is Status.PASSED
    assert result.exit_code == 1


async def test_fail_fast_drops_what_waits_and_cancels_what_runs() -> None:
    scripts = {"runs": Script(exit_code=FOREVER), "fails": Script(exit_code=1), "waits": Script()}
    world = World(scripts, jobs=2, fail_fast=True)
    result = await world.result()

    assert result.outcomes["runs"].status is Status.CANCELLED
    assert result.outcomes["fails"].status is Status.FAILED
    assert result.outcomes["waits"].status is Status.CANCELLED
    assert "fails did not pass" in result.outcomes["waits"].reason
    assert result.exit_code == 1
    assert world.podman.present == {}


async def test_an_interruption_gives_every_cell_an_outcome_and_ends_with_130() -> None:
    world = World({"runs": Script(exit_code=FOREVER), "waits": Script()}, jobs=1)

    def interrupt(event: AnyEvent) -> None:
        if isinstance(event, ContainerStarted):
            world.run.interrupt()
            world.run.interrupt()

    world.recorder.on_event = interrupt
    result = await world.result()

    assert [outcome.status for outcome in result.outcomes.values()] == [Status.CANCELLED] * 2
    assert result.exit_code == 130
    assert world.podman.present == {}


async def test_a_run_that_is_stopped_is_no_interruption_and_gives_a_reason() -> None:
    world = World({"runs": Script(exit_code=FOREVER), "waits": Script()}, jobs=1)
    told: list[bool] = []

    def stop(event: AnyEvent) -> None:
        if isinstance(event, ContainerStarted):
            told.extend(world.run.stop(reason) for reason in ("nobody reads it", "too late"))

    world.recorder.on_event = stop
    result = await world.result()

    assert [outcome.status for outcome in result.outcomes.values()] == [Status.CANCELLED] * 2
    assert result.outcomes["runs"].reason == "nobody reads it"
    assert (result.exit_code, told) == (1, [True, False])
    assert world.podman.present == {}


async def test_files_of_a_command_that_has_ended_are_collected_whoever_stops_the_run(
    tmp_path: Path,
) -> None:
    told: list[bool] = []

    async def stopped() -> AsyncIterator[bytes]:
        told.append(world.run.stop("nobody reads it"))
        yield pack(member("out", b"x"))

    world = World({"a": Script(archive=stopped)}, artifacts=("out",))
    with below(tmp_path) as world.recorder.root:
        result = await world.result()

    assert (result.outcomes["a"].status, result.exit_code, told) == (Status.PASSED, 0, [False])


async def test_an_interruption_before_the_container_creates_none() -> None:
    world = World({"a": Script()})

    def interrupt(event: AnyEvent) -> None:
        if isinstance(event, CellStarted):
            world.run.interrupt()

    world.recorder.on_event = interrupt

    assert await world.statuses() == {"a": Status.CANCELLED}
    assert world.podman.created == []


async def test_the_end_of_the_runs_time_ends_every_cell() -> None:
    world = World({"runs": Script(exit_code=FOREVER), "waits": Script()}, jobs=1, deadline=0.01)
    result = await world.result()

    assert result.outcomes["runs"].status is Status.TIMED_OUT
    assert result.outcomes["runs"].reason == "the run's deadline of 0.01 s was over"
    assert result.outcomes["waits"].status is Status.CANCELLED
    assert result.exit_code == 1
    assert world.podman.present == {}


@pytest.mark.parametrize(("exit_code", "signals"), [(0, ["SIGTERM"]), (143, ["SIGTERM"])])
async def test_a_cell_that_heeds_sigterm_at_its_deadline_is_not_killed(
    exit_code: int, signals: list[str]
) -> None:
    script = Script(exit_code=FOREVER, heeds_sigterm=exit_code)
    world = World({"a": script}, timeout=0.01, stop_grace=60.0)
    result = await world.result()

    assert result.outcomes["a"].status is Status.TIMED_OUT
    assert result.outcomes["a"].reason == "ran longer than 0.01 s and was ended with SIGTERM"
    assert world.podman.signals == signals


async def test_a_cell_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    world = World({"a": Script(exit_code=FOREVER)}, timeout=0.01, stop_grace=0.01)
    result = await world.result()

    assert result.outcomes["a"].status is Status.TIMED_OUT
    assert world.podman.signals == ["SIGTERM", "SIGKILL"]


@pytest.mark.parametrize(("times", "heeds"), [(1, 0), (2, None)])
async def test_an_interruption_gives_cells_their_grace_and_a_second_one_does_not(
    times: int, heeds: int | None
) -> None:
    world = World({"a": Script(exit_code=FOREVER, heeds_sigterm=heeds)}, stop_grace=600.0)

    def interrupt(event: AnyEvent) -> None:
        if isinstance(event, ContainerStarted):
            for _ in range(times):
                world.run.interrupt()

    world.recorder.on_event = interrupt
    with anyio.fail_after(30):
        assert await world.statuses() == {"a": Status.CANCELLED}

    assert world.podman.present == {}


async def test_cells_are_held_back_while_memory_is_short_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.engine.run._LOOK_SECONDS", 0.001)
    looks = iter([Shortage(reason="little is left"), Shortage(reason="less"), None])
    world = World(
        {"a": Script(exit_code=FOREVER), "b": Script()},
        jobs=2,
        timeout=0.2,
        look_at_memory=lambda: next(looks, None),
    )

    assert await world.statuses() == {"a": Status.TIMED_OUT, "b": Status.PASSED}
    held = [event.reason for event in world.recorder.events if isinstance(event, AdmissionHeld)]
    assert held == ["little is left", ""]


async def test_a_run_whose_host_stays_short_of_memory_runs_one_cell_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.engine.run._LOOK_SECONDS", 0.001)
    names = "abcdef"
    world = World(
        {name: Script(exit_code=FOREVER) for name in names},
        jobs=2,
        timeout=0.05,
        look_at_memory=lambda: Shortage(reason="none is left"),
    )
    counts: list[int] = []

    def watch(event: AnyEvent) -> None:
        if isinstance(event, ContainerStarted):
            counts.append(len(world.podman.present))

    world.recorder.on_event = watch

    assert set((await world.statuses()).values()) == {Status.TIMED_OUT}
    assert counts == [1] * len(names)


async def test_cells_that_have_their_turn_when_memory_runs_short_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.engine.run._LOOK_SECONDS", 0.001)
    short = False

    async def image(_image: str, _platform: Platform) -> str:
        # All cells have their turn by now, and wait for the image that they share.
        nonlocal short
        short = True
        await held.wait()
        return "image-id"

    names = "abcdef"
    world = World(
        {name: Script(exit_code=FOREVER) for name in names},
        timeout=0.05,
        image=image,
        look_at_memory=lambda: Shortage(reason="none is left") if short else None,
    )
    held = anyio.Event()
    counts: list[int] = []

    def watch(event: AnyEvent) -> None:
        if isinstance(event, AdmissionHeld):
            held.set()
        if isinstance(event, ContainerStarted):
            counts.append(len(world.podman.present))

    world.recorder.on_event = watch

    assert set((await world.statuses()).values()) == {Status.TIMED_OUT}
    assert counts == [1] * len(names)


async def test_a_deadline_kills_and_is_a_timeout() -> None:
    world = World({"a": Script(exit_code=FOREVER)}, timeout=0.01)
    result = await world.result()

    assert result.outcomes["a"].status is Status.TIMED_OUT
    assert world.podman.present == {}


async def test_an_exit_code_that_podman_lost_is_no_timeout_long_before_it() -> None:
    world = World({"a": Script(exit_code=-1)}, timeout=600.0)

    assert await world.statuses() == {"a": Status.INFRASTRUCTURE_ERROR}


async def test_a_command_that_is_not_there_fails_with_127() -> None:
    error = refused(CommandNotFound, "executable file `bar` not found in $PATH")
    result = await World({"a": Script(refuses=error)}).result()

    assert result.outcomes["a"].status is Status.FAILED
    assert result.outcomes["a"].exit_code == 127


async def test_podmans_refusal_is_an_infrastructure_error() -> None:
    world = World({"a": Script(refuses=refused(ServerError, "no space left"))})
    result = await world.result()

    assert result.outcomes["a"].status is Status.INFRASTRUCTURE_ERROR
    assert "no space left" in result.outcomes["a"].reason
    assert result.exit_code == 1
    assert world.podman.present == {}


async def test_output_that_broke_off_is_completed_from_podmans_log() -> None:
    printed = (Stream.STDOUT, b"one\ntwo\n")
    world = World({"a": Script(output=((Stream.STDOUT, b"one\n"),), breaks=True, log=(printed,))})
    result = await world.result()

    assert result.outcomes["a"].status is Status.PASSED
    assert result.outcomes["a"].output == OutputCounts(stdout_bytes=8)
    assert [chunk.data for chunk in world.recorder.logs["a"].chunks] == [b"one\n", b"two\n"]


async def test_output_that_broke_off_and_is_nowhere_is_no_success() -> None:
    world = World({"a": Script(output=((Stream.STDOUT, b"one\n"),), breaks=True)})
    result = await world.result()

    assert result.outcomes["a"].status is not Status.PASSED
    assert not result.outcomes["a"].output.complete


async def test_an_artifact_that_is_missing_is_no_success() -> None:
    world = World({"a": Script()}, artifacts=("out",))
    result = await world.result()

    assert result.outcomes["a"].status is Status.ARTIFACTS_INCOMPLETE
    assert "out" in result.outcomes["a"].reason


async def test_an_interruption_while_artifacts_are_on_their_way_leaves_nothing_of_them(
    tmp_path: Path,
) -> None:
    async def interrupted() -> AsyncIterator[bytes]:
        yield pack(member("out", b"x"))[:600]
        while not await to_thread.run_sync(in_cells, tmp_path):
            await anyio.lowlevel.checkpoint()
        world.run.interrupt()
        await anyio.sleep_forever()

    world = World({"a": Script(archive=interrupted)}, artifacts=("out",))
    with below(tmp_path) as world.recorder.root:
        result = await world.result()

    outcome = result.outcomes["a"]
    assert (outcome.status, outcome.exit_code) == (Status.ARTIFACTS_INCOMPLETE, 0)
    assert outcome.reason == (
        "artifact out: /workspace/out had not come when the run was stopped; nothing of it was kept"
    )
    assert outcome.manifest == "a-1"
    assert result.exit_code == 130
    assert world.podman.present == {}
    assert in_cells(tmp_path) == []


def in_cells(directory: Path) -> list[str]:
    """Return what is in the directories of the cells."""
    return [path.name for path in directory.glob("*/*")]


async def test_stopping_for_ever__a_container_that_stays_is_reported_as_leaked() -> None:
    world = World({"a": Script(exit_code=3, sticks=True)})
    result = await world.result()

    assert result.outcomes["a"].status is Status.LEAKED
    assert "id0" in result.outcomes["a"].reason
    assert "exit code 3" in result.outcomes["a"].reason
    assert result.problem is not None
    assert "container id0 (a) could not be removed" in result.problem
    assert not any(isinstance(event, CellLeaked) for event in world.recorder.events)


@pytest.mark.parametrize("jobs", [2, 8])
async def test_a_service_that_dies_stops_the_run_with_4(jobs: int) -> None:
    forever = Script(exit_code=FOREVER)
    world = World({"runs": forever, "fails": Script(), "waits": forever}, jobs=jobs)

    def kill(event: AnyEvent) -> None:
        if isinstance(event, ContainerStarted) and event.cell == "fails":
            world.podman.die()

    world.recorder.on_event = kill
    with anyio.fail_after(30):
        result = await world.result()

    assert result.exit_code == 4
    assert result.problem is not None
    assert "stopped answering" in result.problem
    assert Status.PASSED not in {outcome.status for outcome in result.outcomes.values()}


async def test_kill_returns_early__a_container_that_podman_says_runs_has_no_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.engine.drain._DEATH_SECONDS", 0.05)
    world = World({"a": Script(outlives_its_monitor=True)})

    result = await world.result()

    assert result.outcomes["a"].status is Status.INFRASTRUCTURE_ERROR
    assert result.exit_code == 1
    assert world.podman.present == {}


async def test_what_podman_warns_of_is_in_the_outcome() -> None:
    world = World({"a": Script(warnings=("limits are ignored",))}, memory=64 << 20)

    result = await world.result()

    assert result.outcomes["a"].status is Status.PASSED
    assert result.outcomes["a"].warnings == ("podman: limits are ignored",)


@pytest.mark.parametrize(
    ("mode", "mounted"),
    [(WorkspaceMode.OVERLAY, "overlays"), (WorkspaceMode.BIND, "mounts")],
)
async def test_a_cell_that_mounts_the_project_needs_no_layer(
    mode: WorkspaceMode, mounted: str
) -> None:
    world = World({"a": Script()}, workspace=mode)
    await world.result()
    (spec,) = world.podman.created

    assert getattr(spec, mounted) == (Mount("/nonexistent", "/workspace"),)
    assert spec.hidden == ("/workspace/.barasync",)
    assert spec.labels["barasync.workspace"] == mode.value
    finished = [event for event in world.recorder.events if isinstance(event, CellFinished)]
    assert "workspace" not in finished[0].outcome.phases


async def test_an_overlay_that_the_host_refuses_is_podmans_fault_with_a_way_out() -> None:
    refusal = refused(ServerError, 'mounting overlay failed "/nonexistent": invalid argument')
    world = World({"a": Script(refuses=refusal)}, workspace=WorkspaceMode.OVERLAY)

    outcome = (await world.result()).outcomes["a"]

    assert outcome.status is Status.INFRASTRUCTURE_ERROR
    assert "--workspace layer" in (outcome.hint or "")
