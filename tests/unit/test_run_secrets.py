"""The secrets of a run: on the service for as long as it lasts, and nowhere in its record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import cast

import anyio
import pytest

from barasync.aiopodman import Chunk, Podman, SecretFile, ServerError, Stream
from barasync.config.schema import WorkspaceMode
from barasync.engine import secrets
from barasync.engine.masking import MaskedOutput, masked_error, masked_outcome
from barasync.engine.secrets import made_secrets
from barasync.errors import EngineUnavailable, ImageError
from barasync.events import AnyEvent, CellFinished, ContainerStarted, RunFinished
from barasync.masking.masker import Masker
from barasync.masking.value import SecretValue
from barasync.matrix.kept import KeptService, KeptSettings
from barasync.matrix.outcome import Collected, Outcome, Snapshot, Status
from barasync.matrix.platforms import Platform
from tests.unit.fake_podman import FOREVER, Script, refused
from tests.unit.world import World

pytestmark = pytest.mark.anyio

TOKEN = b"hunter2-0123456789"
VALUES = {"env:TOKEN": SecretValue(TOKEN), "/key": SecretValue(b"key")}
MASKER = Masker(VALUES.values())


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Secrets:
    """Stands for the client: keeps secrets in memory, and may refuse or hang."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.labels: list[Mapping[str, str]] = []
        self.refuses: set[str] = set()
        self.hangs: set[str] = set()

    @property
    def secrets(self) -> Secrets:
        return self

    async def create(self, name: str, data: bytes, *, labels: Mapping[str, str]) -> str:
        await self._answer(f"create {name}")
        self.kept[name] = data
        self.labels.append(labels)
        return name

    async def remove(self, name: str, *, missing_ok: bool) -> None:
        assert missing_ok
        await self._answer(f"remove {name}")
        self.kept.pop(name, None)

    async def _answer(self, request: str) -> None:
        await anyio.lowlevel.checkpoint()
        if request in self.hangs:
            await anyio.sleep_forever()
        if request in self.refuses:
            raise refused(ServerError, "disk full")


class Run:
    def __init__(self) -> None:
        self.podman = Secrets()
        self.complaints: list[str] = []

    def made(self) -> AbstractAsyncContextManager[Mapping[str, str]]:
        return made_secrets(
            cast("Podman", self.podman),
            "r1",
            labels={"barasync.run": "r1"},
            values=VALUES,
            complain=self.complaints.append,
        )


async def test_secrets_are_made_with_the_labels_of_the_run_and_removed_after_it() -> None:
    run = Run()

    async with run.made() as names:
        kept = dict(run.podman.kept)

    assert names == {"env:TOKEN": "barasync-r1-1", "/key": "barasync-r1-2"}
    assert kept == {"barasync-r1-1": TOKEN, "barasync-r1-2": b"key"}
    assert run.podman.labels == [{"barasync.run": "r1"}] * 2
    assert (run.podman.kept, run.complaints) == ({}, [])


async def test_secrets_are_removed_however_the_run_ends() -> None:
    run = Run()

    with pytest.raises(KeyError):
        async with run.made():
            raise KeyError
    with anyio.CancelScope() as scope:
        async with run.made():
            assert len(run.podman.kept) == 2
            scope.cancel()
            await anyio.sleep_forever()

    assert (run.podman.kept, run.complaints) == ({}, [])


async def test_if_one_cannot_be_made_the_others_go_and_nothing_runs() -> None:
    run = Run()
    run.podman.refuses.add("create barasync-r1-2")

    with pytest.raises(ServerError, match="disk full") as caught:
        async with run.made():
            pytest.fail("the run began")

    assert run.podman.kept == {}
    assert "key" not in str(caught.value)


async def test_cancelling_waits_for_the_answer_and_removes_what_was_made() -> None:
    run = Run()

    with anyio.CancelScope() as scope:
        scope.cancel()
        async with run.made():
            pytest.fail("the run began")
    async with anyio.create_task_group() as group:

        async def begin() -> None:
            async with run.made():
                await anyio.sleep_forever()

        group.start_soon(begin)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    assert (run.podman.kept, run.complaints) == ({}, [])


async def test_a_podman_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_CREATE_SECONDS", 0.02)
    run = Run()
    run.podman.hangs.add("create barasync-r1-2")

    with pytest.raises(EngineUnavailable, match="podman does not answer"):
        async with run.made():
            pytest.fail("the run began")

    assert run.podman.kept == {}


async def test_what_is_left_is_said_and_the_others_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_REMOVE_SECONDS", 0.05)
    refusing, hanging = Run(), Run()
    refusing.podman.refuses.add("remove barasync-r1-1")
    hanging.podman.hangs.add("remove barasync-r1-2")

    async with refusing.made(), hanging.made():
        pass

    assert list(refusing.podman.kept) == ["barasync-r1-1"]
    (complaint,) = refusing.complaints
    assert complaint.startswith("secret barasync-r1-1 could not be removed: disk full")
    assert complaint.endswith("`podman secret rm barasync-r1-1`, or later `barasync clean`")
    (complaint,) = hanging.complaints
    assert complaint.startswith("secret barasync-r1-2 could not be removed: podman did not answer")


async def test_a_cell_gets_its_secrets_as_files_and_variables() -> None:
    world = World(
        {"a": Script()},
        podmans_secrets={"env:TOKEN": "s1", "/key": "s2"},
        secrets=("A=env:TOKEN", "key.pem=/key"),
    )

    await world.result()

    (spec,) = world.podman.created
    assert spec.secret_env == {"A": "s1"}
    assert spec.secret_files == (SecretFile("s2", "key.pem"),)


async def test_output_is_masked_across_its_pieces_and_whole_at_its_end() -> None:
    pieces = [b"token: hun", b"ter2-0123456789", b" hunter", b"2"]
    output = tuple((Stream.STDOUT, piece) for piece in pieces)
    world = World({"a": Script(output=((Stream.STDERR, b"err hunt"), *output))}, masker=MASKER)

    result = await world.result()

    chunks = world.recorder.logs["a"].chunks
    assert b"".join(c.data for c in chunks if c.stream is Stream.STDOUT) == b"token: *** hunter2"
    assert b"".join(c.data for c in chunks if c.stream is Stream.STDERR) == b"err hunt"
    assert result.outcomes["a"].output.stdout_bytes == sum(len(chunk.data) for chunk in chunks)


async def test_what_is_held_back_is_not_lost_when_the_run_is_interrupted() -> None:
    script = Script(output=((Stream.STDOUT, b"hunter2"),), exit_code=FOREVER)
    world = World({"a": script}, masker=MASKER)

    started = anyio.Event()

    def note(event: AnyEvent) -> None:
        if isinstance(event, ContainerStarted):
            started.set()

    world.recorder.on_event = note
    async with anyio.create_task_group() as group:
        group.start_soon(world.result)
        await started.wait()
        await anyio.wait_all_tasks_blocked()
        world.run.interrupt()

    assert [chunk.data for chunk in world.recorder.logs["a"].chunks] == [b"hunter2"]


async def test_no_event_holds_a_value() -> None:
    error = refused(ServerError, f"cannot start {TOKEN.decode()}")
    script = Script(refuses=error, warnings=(f"the limit of {TOKEN.decode()} is ignored",))
    world = World({"a": script}, masker=MASKER)

    result = await world.result()

    finished = next(event for event in world.recorder.events if isinstance(event, CellFinished))
    assert finished.outcome.reason.startswith("podman: cannot start ***")
    assert finished.outcome.warnings == ("podman: the limit of *** is ignored",)
    assert "hunter2" not in repr(world.recorder.events)
    assert "hunter2" not in repr(result)


async def test_an_image_that_cannot_be_made_is_told_without_a_value() -> None:
    async def broken(_image: str, _platform: Platform) -> str:
        raise ImageError(f"no image {TOKEN.decode()}", hint=f"is {TOKEN.decode()} right?")

    world = World({"a": Script()}, image=broken, masker=MASKER)

    result = await world.result()

    assert result.problem == "no image ***"
    assert "hunter2" not in repr(world.recorder.events)
    assert isinstance(world.recorder.events[-1], RunFinished)


def test_every_text_of_an_outcome_is_masked() -> None:
    text = f"<{TOKEN.decode()}>"
    collected = Collected(source="out", destination=text, refused=(text,), problem=text)
    service = KeptService(name="db", image="id", asked=text, env={"TOKEN": text})
    settings = KeptSettings(
        workspace=WorkspaceMode.NONE, network="none", services=(service,), volumes=(text,)
    )
    snapshot = Snapshot(name=text, settings=settings)
    outcome = Outcome(
        status=Status.FAILED,
        reason=text,
        hint=text,
        warnings=(text,),
        artifacts=(collected,),
        snapshot=snapshot,
    )

    masked = masked_outcome(outcome, MASKER)

    assert masked == replace(
        outcome,
        reason="<***>",
        hint="<***>",
        warnings=("<***>",),
        artifacts=(replace(collected, destination="<***>", refused=("<***>",), problem="<***>"),),
        snapshot=replace(
            snapshot,
            name="<***>",
            settings=replace(
                settings,
                services=(replace(service, asked="<***>", env={"TOKEN": "<***>"}),),
                volumes=("<***>",),
            ),
        ),
    )
    assert masked_outcome(outcome, Masker()) is outcome
    assert masked_outcome(Outcome(status=Status.PASSED), MASKER) == Outcome(status=Status.PASSED)
    assert str(masked_error(ImageError(text), MASKER)) == "<***>"


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_output_that_is_not_recorded_is_masked_stream_by_stream(size: int) -> None:
    said = {
        Stream.STDOUT: b"<" + TOKEN + b">hunter2-and" + TOKEN[:9],
        Stream.STDERR: TOKEN[:5] + TOKEN + b"\n" + TOKEN[:2],
    }
    pieces = [
        Chunk(stream, data[start : start + size])
        for start in range(0, max(map(len, said.values())), size)
        for stream, data in said.items()
        if data[start : start + size]
    ]
    got = dict.fromkeys(said, b"")

    async def output() -> AsyncIterator[Chunk]:
        for piece in pieces:
            yield piece

    async for chunk in MaskedOutput(output(), MASKER):
        assert chunk.data
        got[chunk.stream] += chunk.data

    assert got == {
        Stream.STDOUT: b"<***>hunter2-and" + TOKEN[:9],
        Stream.STDERR: TOKEN[:5] + b"***\n" + TOKEN[:2],
    }
