"""What comes of a cell's snapshot, and of its verdict, when podman fails over it or stalls."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.aiopodman import ImageSummary, Podman
from barasync.config.schema import RetryOn
from barasync.events import CellFinished, CellStarted
from barasync.matrix.outcome import Status
from tests.fake.faults import Fault, Hangs, Refuses
from tests.fake.service import FakeService
from tests.faults.world import CELL, run

pytestmark = pytest.mark.anyio

NAME = "localhost/broken:1"
NO_SPACE = "no space left on device"
FAILS = {"retries": 1, "retry_on": (RetryOn.FAILED,)}


async def images(service: FakeService) -> dict[str, ImageSummary]:
    """Return the images by their first name; one without a name is one too many."""
    async with Podman(service.endpoint) as podman:
        return {image.repo_tags[0]: image for image in await podman.images.list(all=True)}


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("echo x >f", Status.PASSED),
        ("echo x >f; exit 3", Status.FAILED),
        ("echo x >f; sleep 60", Status.TIMED_OUT),
    ],
)
async def test_a_cell_that_has_ended_leaves_its_snapshot_however_it_ended(
    service: FakeService, script: str, status: Status
) -> None:
    ran = await run(service, script, snapshot="broken:1", timeout=1.0)

    snapshot = ran.outcome().snapshot
    made = (await images(service))[NAME]
    assert ran.outcome().status is status
    assert snapshot is not None
    assert (snapshot.name, snapshot.image, snapshot.problem) == (NAME, made.id, None)
    assert service.containers == {}


async def test_a_snapshot_is_known_for_one_and_for_nothing_of_a_run(service: FakeService) -> None:
    await run(service, "exit 3", snapshot="broken:1")

    found = await images(service)
    assert {name: value for name, value in found[NAME].labels.items() if value} == {
        "barasync.kind": "snapshot",
        "barasync.base": found["localhost/cell:latest"].id,
        "barasync.name": NAME,
        "barasync.snapshot.run": "run1",
        "barasync.snapshot.cell": "a",
    }


async def test_a_snapshot_has_the_proxies_of_its_image_and_not_those_of_who_ran_it(
    service: FakeService,
) -> None:
    service.change(service.image("localhost/cell"), "ENV ftp_proxy=http://its")
    passed = {"http_proxy": "http://me:word@proxy:3128", "NO_PROXY": "a,b"}
    script = "test $http_proxy = http://me:word@proxy:3128"

    ran = await run(service, script, snapshot="broken:1", network="bridge", proxies=passed)

    async with Podman(service.endpoint) as podman:
        made = await podman.images.inspect(NAME)
    env = dict(each.split("=", 1) for each in made.config.env)
    assert ran.outcome().status is Status.PASSED
    assert (env["http_proxy"], env["NO_PROXY"], env["ftp_proxy"]) == ("", "", "http://its")


async def test_cells_have_snapshots_of_their_own_with_their_ids_in_the_name(
    service: FakeService,
) -> None:
    await run(service, {"a": "exit 1", "b": "true"}, snapshot="broken")

    assert {"localhost/broken:latest-a", "localhost/broken:latest-b"} < set(await images(service))


async def test_a_command_that_cannot_be_executed_leaves_a_snapshot(service: FakeService) -> None:
    ran = await run(service, "true", snapshot="broken:1", command=("no-such-command",))

    assert (ran.outcome().status, ran.outcome().exit_code) == (Status.FAILED, 127)
    assert NAME in await images(service)


async def test_a_passed_cell_without_its_snapshot_has_not_passed(service: FakeService) -> None:
    service.inject(Fault("commit", Refuses(NO_SPACE)))

    ran = await run(service, "true", snapshot="broken:1")

    outcome = ran.outcome()
    assert (outcome.status, outcome.exit_code) == (Status.SNAPSHOT_FAILED, 0)
    assert NO_SPACE in outcome.reason
    assert f"no snapshot {NAME} of container" in outcome.reason
    assert ran.result.exit_code == 1
    assert service.containers == {}


async def test_a_failed_cell_without_its_snapshot_has_failed_and_says_so(
    service: FakeService, tmp_path: Path
) -> None:
    service.inject(Fault("commit", Refuses(NO_SPACE)))

    ran = await run(
        service,
        "echo x >out; exit 3",
        snapshot="broken:1",
        artifacts=("out",),
        destination=tmp_path,
    )

    outcome = ran.outcome()
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, 3)
    assert outcome.snapshot is not None
    assert NO_SPACE in (outcome.snapshot.problem or "")
    assert (tmp_path / "a/out").exists()


async def test_the_name_of_an_image_that_is_no_snapshot_is_not_taken_from_it(
    service: FakeService,
) -> None:
    image = service.image(NAME)

    ran = await run(service, "true", snapshot="broken:1")

    assert ran.outcome().status is Status.SNAPSHOT_FAILED
    assert f"{NAME} is an image that is no snapshot" in ran.outcome().reason
    assert (await images(service))[NAME].id == image


async def test_a_snapshot_takes_the_place_of_the_one_before(service: FakeService) -> None:
    await run(service, "true", snapshot="broken:1")
    first = (await images(service))[NAME].id

    await run(service, "true", snapshot="broken:1")

    found = await images(service)
    assert found[NAME].id != first
    assert first not in {image.id for image in found.values()}


async def test_only_the_last_attempt_leaves_a_snapshot(service: FakeService) -> None:
    ran = await run(service, "exit 3", snapshot="broken:1", **FAILS)

    assert service.requests.count("commit") == 1
    assert ran.outcome().snapshot is not None
    assert (await images(service))[NAME].id == ran.outcome().snapshot.image


async def test_a_snapshot_of_an_attempt_that_was_not_the_last_is_removed(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether memory ran out is sometimes known only once the container is gone."""
    monkeypatch.setattr("barasync.engine.aftermath.is_surely_retried", lambda *_facts: False)
    service.inject(Fault("commit", Refuses(NO_SPACE), skip=1))

    ran = await run(service, "exit 3", snapshot="broken:1", **FAILS)

    assert service.requests.count("commit") == 2
    assert ran.outcome().snapshot is not None
    assert ran.outcome().snapshot.image is None
    assert NAME not in await images(service)


async def test_an_interrupted_cell_has_no_snapshot_and_says_so(service: FakeService) -> None:
    ran = await run(
        service,
        {"a": "sleep 60", "b": "true"},
        snapshot="broken:1",
        interrupted_at="b",
    )

    outcome = ran.outcome()
    assert outcome.status is Status.CANCELLED
    assert outcome.snapshot is not None
    assert outcome.snapshot.problem == "the cell was cancelled"
    assert "commit" not in service.requests
    assert service.containers == {}


async def test_while_a_large_container_becomes_an_image_podman_is_asked_for_no_other(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Podman would keep whoever asks waiting, longer than it is given for that."""
    monkeypatch.setattr("barasync.images.snapshot.LARGE_BYTES", 99)
    service.inject(Fault("commit", Hangs(seconds=1), labels={CELL: "a"}))
    scripts = {"a": "printf %100s >f; exit 3", "b": "true", "c": "true"}

    ran = await run(service, scripts, jobs=1, snapshot="broken:1")

    events = [
        (type(event), event.cell)
        for event in ran.record.events
        if isinstance(event, CellStarted | CellFinished)
    ]
    waited = [ran.outcome(cell).phases[phase] for cell in "bc" for phase in ("create", "start")]
    assert events[:2] == [(CellStarted, "a"), (CellStarted, "b")]
    assert sum(waited) > 0.5
    assert ran.outcome("b").passed
    assert ran.outcome("a").status is Status.FAILED
    assert ran.outcome("a").snapshot is not None
    assert ran.outcome("a").snapshot.image is None
    assert service.containers == {}


async def test_a_snapshot_that_podman_does_not_make_in_time_is_given_up(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.images.snapshot._SECONDS", 0.2)
    service.inject(Fault("commit", Hangs()))

    ran = await run(service, "true", snapshot="broken:1")

    assert ran.outcome().status is Status.SNAPSHOT_FAILED
    assert "did not make it in time" in ran.outcome().reason
    assert service.containers == {}


async def test_a_snapshot_that_is_on_its_way_is_given_up_with_the_run_and_the_verdict_stays(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.images.snapshot._SECONDS_WHEN_CANCELLED", 0.2)
    service.inject(Fault("commit", Hangs(), labels={CELL: "a"}))

    ran = await run(
        service, {"a": "exit 3", "b": "true"}, jobs=1, snapshot="broken:1", interrupted_at="b"
    )

    outcome = ran.outcome("a")
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, 3)
    assert outcome.snapshot is not None
    assert outcome.snapshot.problem == "it had not been taken when the run was stopped"
    assert service.containers == {}
