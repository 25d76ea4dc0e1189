"""Steps of images that fail, take too long or are given up: said, and nothing left."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.errors import EngineUnavailable, ImageError
from barasync.images.steps import CopyStep, RunStep
from tests.fake.faults import Dies, Fault, Hangs, Refuses
from tests.faults.building import PLATFORM, RUN, Site, run, until

pytestmark = pytest.mark.anyio


async def test_a_script_that_fails_is_said_with_its_last_lines_and_the_log(site: Site) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done; echo no >&2; exit 7"

    with pytest.raises(ImageError) as caught:
        await site.build(run("echo first"), run(script), run("echo never"))

    first, *lines, log = str(caught.value).split("\n  ")
    assert first.startswith("image 'app' for linux/")
    assert "step 2/3 RUN for i in 1 2 3" in first
    assert first.endswith(" failed with exit code 7")
    assert sorted(lines) == sorted([*(f"line {i}" for i in range(4, 13)), "no"])
    path = Path(log.removeprefix("log: "))
    assert path.parent == site.logs
    kept = await anyio.Path(path).read_text()
    assert kept.startswith("==> step 1/3 RUN echo first\nfirst\n==> step 2/3 RUN for i in")
    assert "line 1\nline 2\n" in kept
    assert site.service.containers == {}
    assert site.nameless == []


async def test_after_a_failure_the_steps_before_it_are_found(site: Site) -> None:
    with pytest.raises(ImageError):
        await site.build(run("echo first"), run("exit 1"))

    built = await site.build(run("echo first"), run("echo mended"))

    assert built.executed == 1


async def test_a_script_that_takes_too_long_is_killed(site: Site) -> None:
    said = (
        rf"image 'app' for {PLATFORM}: step 1/1 RUN sleep 60 took longer than 0\.2 s and was killed"
    )
    with pytest.raises(ImageError, match=said) as caught:
        await site.build(run("sleep 60"), step_seconds=0.2)

    assert caught.value.hint is not None
    assert "`timeout` of [images.app]" in caught.value.hint
    assert site.service.containers == {}
    assert site.nameless == []


async def test_how_long_a_step_may_take_makes_no_other_step_of_it(site: Site) -> None:
    first = await site.build(run("echo one"), step_seconds=60.0)

    second = await site.build(run("echo one"), step_seconds=None)

    assert (second.id, second.executed) == (first.id, 0)


async def test_a_step_without_a_limit_has_none_in_podman_either(site: Site) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(partial(site.build, run("echo running; sleep 60"), step_seconds=None))
        await until(lambda: "running" in site.printed)
        (body,) = site.service.bodies
        group.cancel_scope.cancel()

    assert "timeout" not in body


async def test_a_container_can_be_found_and_ends_by_itself_without_its_builder(
    site: Site,
) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(site.build, run("echo running; sleep 60"))
        await until(lambda: "running" in site.printed)
        bodies = site.service.bodies
        group.cancel_scope.cancel()

    (body,) = bodies
    assert body["labels"] == RUN
    assert not {"secrets", "secret_env", "mounts", "volumes"} & body.keys()
    assert body["timeout"] == 6 * 3600 + 30
    assert site.service.containers == {}


@pytest.mark.parametrize("operation", ["create", "attach", "put-archive", "commit", "image-list"])
async def test_a_full_disk_is_said_with_what_to_do_and_nothing_is_left(
    site: Site, operation: str
) -> None:
    site.service.inject(Fault(operation, Refuses("write /x: no space left on device")))

    with pytest.raises(ImageError, match="no space left on device") as caught:
        await site.build(run("true"), CopyStep("src", "/tmp/in"))

    assert "graphRoot" in (caught.value.hint or "")
    assert site.service.containers == {}
    assert site.nameless == []


async def test_a_layer_that_could_not_be_written_may_want_for_space(site: Site) -> None:
    words = 'CommitFailure: storing layer "5ea6" to file: io: read/write on closed pipe'
    site.service.inject(Fault("commit", Refuses(words)))

    with pytest.raises(ImageError, match=r"committing: .*closed pipe") as caught:
        await site.build(run("true"))

    assert "most often no space is left" in (caught.value.hint or "")


async def test_a_user_that_the_image_does_not_have_is_said_with_what_to_do(site: Site) -> None:
    words = "unable to find user nobodyx: no matching entries in passwd file"
    site.service.inject(Fault("attach", Refuses(words)))

    with pytest.raises(ImageError, match="unable to find user nobodyx") as caught:
        await site.build(run("true"))

    assert "make it in a `run` there" in (caught.value.hint or "")


async def test_a_network_that_podman_cannot_set_up_is_said_with_what_to_do(site: Site) -> None:
    site.service.inject(Fault("start", Refuses("netavark: No such file or directory")))

    with pytest.raises(ImageError, match=r"RUN true: executing it: .*netavark") as caught:
        await site.build(RunStep("true"))

    assert 'network = "none"' in (caught.value.hint or "")


@pytest.mark.parametrize("operation", ["create", "start", "put-archive", "commit", "inspect"])
async def test_cancelled_at_any_request_it_leaves_no_container_and_no_nameless_image(
    site: Site, operation: str
) -> None:
    site.service.inject(Fault(operation, Hangs(performed=True, seconds=0.3), times=1))
    async with anyio.create_task_group() as group:
        group.start_soon(site.build, run("true"), CopyStep("src", "/tmp/in"))
        await until(lambda: operation in site.service.requests)
        group.cancel_scope.cancel()

    assert site.nameless == []
    left = site.service.containers
    # What podman made and never told of is found by its labels, as `barasync clean` does.
    assert left == {} or operation == "create"


async def test_a_service_that_dies_is_no_failure_of_the_step(site: Site) -> None:
    site.service.inject(Fault("commit", Dies()))

    with pytest.raises(EngineUnavailable, match="step 1/1 RUN true: committing"):
        await site.build(run("true"))


async def test_a_service_that_dies_and_comes_back_costs_no_step(site: Site) -> None:
    script = "echo begun; sleep 1; echo done"

    async with anyio.create_task_group() as group:
        group.start_soon(partial(site.build, run(script), outage=10.0))
        await until(lambda: "begun" in site.printed)
        await to_thread.run_sync(site.service.die)
        await to_thread.run_sync(site.service.revive)

    assert site.printed == ["begun", "done"]
    assert site.service.containers == {}
    assert (await site.build(run(script))).executed == 0
