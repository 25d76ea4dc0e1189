"""Containers by hand, on real podmans: listed, stopped and removed."""

from __future__ import annotations

import json
import signal
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, HealthCheck, NotFound, Podman
from tests.contract.running import created, of_a_cell, running
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, call

pytestmark = pytest.mark.anyio

SLEEPS = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


async def test_the_containers_of_runs_are_listed_by_run_and_cell_with_what_they_consume(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    checked = HealthCheck(command=("true",))
    spec = of_a_cell(busybox, "run-b", "one", SLEEPS)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(running(podman, replace(spec, health_check=checked)))
        await one.check_health()
        ended = await stack.enter_async_context(
            created(podman, of_a_cell(busybox, "run-a", "two", "exit 3"))
        )
        await ended.start()
        await ended.wait()
        foreign = await stack.enter_async_context(
            created(podman, ContainerSpec(image=busybox, name="foreign", command=("true",)))
        )

        table = (await call(barasync, "container", "list")).out
        data = json.loads((await call(barasync, "container", "list", "--json")).out)
        every = json.loads((await call(barasync, "container", "list", "--all", "--json")).out)
        of_run = json.loads(
            (await call(barasync, "container", "list", "--run", "run-a", "--json")).out
        )
        of_cell = json.loads(
            (await call(barasync, "container", "list", "--cell", "one", "--json")).out
        )
        unknown = await call(barasync, "container", "list", "--run", "run-c")

    lines = [line.split() for line in table.splitlines()]
    assert [line[:2] for line in lines] == [["RUN", "CELL"], ["run-a", "two"], ["run-b", "one"]]
    assert lines[1][2:4] == ["exited", "(3)"]
    assert lines[2][2] == "running"
    assert lines[2][-1] == one.id[:12]
    second, first = data
    assert (first["id"], first["state"], first["health"]) == (one.id, "running", "healthy")
    assert first["memory_bytes"] > 0
    assert first["platform"] == f"linux/{native_architecture()}"
    assert (second["id"], second["exit_code"]) == (ended.id, 3)
    assert second["memory_bytes"] is None
    assert {each["id"] for each in every} >= {one.id, ended.id, foreign.id}
    assert [each["id"] for each in of_run] == [ended.id]
    assert [each["id"] for each in of_cell] == [one.id]
    assert unknown.code == 2
    assert "there is no container of a run run-c; did you mean 'run-" in unknown.err


async def test_only_names_of_containers_in_a_state_are_listed(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with AsyncExitStack() as stack:
        spec = of_a_cell(busybox, "run-a", "lives", SLEEPS)
        await stack.enter_async_context(running(podman, spec))
        over = await stack.enter_async_context(
            created(podman, of_a_cell(busybox, "run-a", "over", "exit 3"))
        )
        await over.start()
        await over.wait()
        await stack.enter_async_context(
            created(podman, of_a_cell(busybox, "run-a", "waits", "true"))
        )

        async def names(*words: str) -> list[str]:
            listed = await call(barasync, "container", "list", "--names", "--run", "run-a", *words)
            assert (listed.code, listed.err) == (0, "")
            return [name.split("-")[3] for name in listed.out.splitlines()]

        every = await names()
        found = [await names("--state", state) for state in ("running", "exited", "created")]
        two = await names("--state", "exited", "--state", "created")
        none = await names("--state", "paused")

    assert every == ["lives", "over", "waits"]
    assert found == [["lives"], ["over"], ["waits"]]
    assert two == ["over", "waits"]
    assert none == []


async def test_one_that_was_started_again_has_no_exit_code_of_its_last_time(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with created(podman, of_a_cell(busybox, "run-a", "one", "exec sleep 1000")) as one:
        await one.start()
        await one.kill()
        await one.wait()
        words = ("container", "list", "--json", "--run", "run-a")
        (over,) = json.loads((await call(barasync, *words)).out)
        await one.start()
        (again,) = json.loads((await call(barasync, *words)).out)

    assert (over["state"], over["exit_code"]) == ("exited", 137)
    assert over["exited"] is not None
    assert (again["state"], again["exit_code"], again["exited"]) == ("running", None, None)


async def test_on_a_terminal_of_80_columns_no_line_of_the_list_is_longer(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    run = "20261127-204145-ab12"

    def listed(digits: str) -> str:
        with barasync.on_terminal("container", "list", "--run", run) as terminal:
            said = terminal.expect(digits.encode())
            assert terminal.wait() == 0
        return said.decode()

    async with running(podman, of_a_cell(busybox, run, "arm64-release", SLEEPS)) as one:
        digits = one.id[:12]
        heading, line = (await to_thread.run_sync(listed, digits)).splitlines()
        piped = (await call(barasync, "container", "list", "--run", run)).out

    assert heading.split()[0] == "RUN"
    assert line.split()[:3] == [run, "arm64-release", "running"]
    assert len(line) <= 80
    assert f"barasync-{run}-arm64-release-1" in piped


async def test_containers_are_stopped_by_all_that_they_can_be_called_and_stay(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with (
        running(podman, of_a_cell(busybox, "run-a", "one", SLEEPS)) as one,
        running(podman, of_a_cell(busybox, "run-a", "two", STUBBORN)) as two,
        running(podman, of_a_cell(busybox, "run-b", "two", STUBBORN)) as three,
    ):
        ambiguous = await call(barasync, "container", "stop", "one", "two")
        stopped = await call(
            barasync, "container", "stop", "--grace", "1", "one", "run-a/two", three.id[:12]
        )
        again = await call(barasync, "container", "stop", "run-a/one")
        codes = [(await each.inspect()).state.exit_code for each in (one, two, three)]

    assert ambiguous.code == 2
    assert "two may be any of 2 containers" in ambiguous.err
    assert (stopped.code, stopped.err) == (0, "")
    assert sorted(stopped.out.splitlines()) == [
        "barasync-run-a-one-1: stopped",
        "barasync-run-a-two-1: stopped",
        "barasync-run-b-two-1: stopped",
    ]
    assert codes == [5, 137, 137]
    assert (again.code, again.out) == (0, "barasync-run-a-one-1: does not run (exited)\n")


async def test_one_that_is_paused_is_not_stopped_and_can_be_killed(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with running(podman, of_a_cell(busybox, "run-a", "one", SLEEPS)) as one:
        await one.pause()
        stopped = await call(barasync, "container", "stop", "one")
        state = (await one.inspect()).state.status
        removed = await call(barasync, "container", "remove", "--force", "one")

    assert (stopped.code, state) == (1, "paused")
    assert "barasync-run-a-one-1: kept, it is paused; `podman --url unix://" in stopped.out
    assert " unpause barasync-run-a-one-1` lets it go on" in stopped.out
    assert (removed.code, removed.out) == (0, "barasync-run-a-one-1: removed\n")


async def test_interrupted_in_the_middle_it_ends_and_says_what_was_done(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with (
        running(podman, of_a_cell(busybox, "run-a", "one", SLEEPS)) as one,
        running(podman, of_a_cell(busybox, "run-a", "two", STUBBORN)) as two,
    ):
        words = ("container", "stop", "--grace", "600", "one", "two")
        with barasync.running(*words) as process:
            await one.wait()
            while (await two.inspect()).state.status == "running":
                pass
            assert process.stdout is not None
            first = await to_thread.run_sync(process.stdout.readline)
            process.send_signal(signal.SIGINT)
            rest, err = await to_thread.run_sync(process.communicate)
        await two.kill()
        await two.wait()

    assert first == b"barasync-run-a-one-1: stopped\n"
    assert rest.decode() == (
        "barasync-run-a-two-1: interrupted; podman was asked to stop it, and may still do so\n"
    )
    assert (process.returncode, err) == (130, b"")


async def test_what_runs_is_removed_by_force_only(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(
            running(podman, of_a_cell(busybox, "run-a", "one", STUBBORN))
        )
        two = await stack.enter_async_context(
            created(podman, of_a_cell(busybox, "run-a", "two", "true"))
        )
        nobody = await call(barasync, "container", "remove", "one", "tow")
        kept = await call(barasync, "container", "remove", "one", "run-a/two")
        state = (await one.inspect()).state.status
        with pytest.raises(NotFound):
            await two.inspect()
        forced = await call(barasync, "container", "remove", "--force", "one")
        with pytest.raises(NotFound):
            await one.inspect()

    assert nobody.code == 2
    assert "there is no container tow; did you mean 'two'?" in nobody.err
    assert (kept.code, state) == (1, "running")
    assert sorted(kept.out.splitlines()) == [
        "barasync-run-a-one-1: kept, it is running; `--force` kills it",
        "barasync-run-a-two-1: removed",
    ]
    assert (forced.code, forced.out) == (0, "barasync-run-a-one-1: removed\n")


@pytest.mark.parametrize("word", ["-x", "a\nb", "", "../info"])
async def test_what_cannot_be_the_name_of_a_container_is_refused(
    barasync: Barasync, word: str
) -> None:
    for command in ("stop", "remove", "export"):
        refused = await call(barasync, "container", command, "--", word)

        assert refused.code == 2
        assert refused.err.startswith(f"barasync: CONTAINER: {word!r} is not the name")
