"""What is kept of failed cells, and their verdicts, when podman fails over it or stalls."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.aiopodman import ImageSummary, Podman
from barasync.config.schema import RetryOn, WorkspaceMode
from barasync.masking.masker import Masker
from barasync.masking.value import SecretValue
from barasync.matrix.kept import KeptSettings
from barasync.matrix.outcome import Outcome, Snapshot, Status
from tests.fake.faults import Fault, Hangs, Refuses
from tests.fake.service import FakeService
from tests.faults.world import CELL, run

pytestmark = pytest.mark.anyio

KEPT = "localhost/barasync/kept:run1-"
NO_SPACE = "no space left on device"
FAILS = {"retries": 1, "retry_on": (RetryOn.FAILED,)}


async def kept(service: FakeService) -> dict[str, ImageSummary]:
    """Return the images of failed cells, by their cells; others are not looked at."""
    async with Podman(service.endpoint) as podman:
        found = await podman.images.list(all=True)
    names = {name: image for image in found for name in image.repo_tags}
    return {name.removeprefix(KEPT): names[name] for name in names if name.startswith(KEPT)}


def snapshot_of(outcome: Outcome) -> Snapshot:
    assert outcome.snapshot is not None
    return outcome.snapshot


async def test_cells_that_fail_are_kept_and_those_that_pass_are_not(service: FakeService) -> None:
    scripts = {"good": "true", "bad": "echo x >f; exit 3", "slow": "sleep 60"}

    ran = await run(service, scripts, keep_failed=True, timeout=1.0)

    found = await kept(service)
    statuses = [ran.outcome(cell).status for cell in scripts]
    assert statuses == [Status.PASSED, Status.FAILED, Status.TIMED_OUT]
    assert set(found) == {"bad", "slow"}
    assert ran.outcome("good").snapshot is None
    for cell in found:
        snapshot = snapshot_of(ran.outcome(cell))
        assert (snapshot.image, snapshot.problem, snapshot.kept) == (found[cell].id, None, True)
    assert service.containers == {}


async def test_a_kept_image_is_known_for_one_and_for_nothing_of_a_run(service: FakeService) -> None:
    await run(service, "exit 3", keep_failed=True)

    labels = (await kept(service))["a"].labels
    assert {name: value for name, value in labels.items() if value} == {
        "barasync.kind": "kept",
        "barasync.base": service.image("localhost/cell"),
        "barasync.name": f"{KEPT}a",
        "barasync.snapshot.run": "run1",
        "barasync.snapshot.cell": "a",
    }


async def test_the_settings_that_no_image_has_are_remembered_without_what_secrets_hold(
    service: FakeService,
) -> None:
    settings = {"memory": 1 << 30, "network": "none", "volumes": ("hunter2-0123456789:/data",)}

    ran = await run(
        service,
        "exit 3",
        keep_failed=True,
        masker=Masker([SecretValue(b"hunter2-0123456789")]),
        **settings,
    )

    assert snapshot_of(ran.outcome()).settings == KeptSettings(
        workspace=WorkspaceMode.LAYER,
        network="none",
        memory=1 << 30,
        pids=4096,
        volumes=("***:/data",),
    )


async def test_an_artifact_that_did_not_come_is_a_failure_to_be_looked_into(
    service: FakeService, tmp_path: Path
) -> None:
    ran = await run(service, "true", keep_failed=True, artifacts=("missing",), destination=tmp_path)

    assert ran.outcome().status is Status.ARTIFACTS_INCOMPLETE
    assert set(await kept(service)) == {"a"}


@pytest.mark.parametrize(
    ("script", "status", "exit_code"),
    [
        ("echo x >out; exit 3", Status.FAILED, 3),
        ("echo x >out; sleep 60", Status.TIMED_OUT, None),
        ("true", Status.ARTIFACTS_INCOMPLETE, 0),
    ],
)
async def test_what_cannot_be_kept_changes_no_verdict_and_is_said(
    service: FakeService, tmp_path: Path, script: str, status: Status, exit_code: int | None
) -> None:
    service.inject(Fault("commit", Refuses(NO_SPACE)))

    ran = await run(
        service,
        script,
        keep_failed=True,
        timeout=1.0,
        artifacts=("out",),
        destination=tmp_path,
    )

    outcome = ran.outcome()
    assert (outcome.status, outcome.exit_code) == (status, exit_code)
    assert NO_SPACE not in outcome.reason
    assert NO_SPACE in (snapshot_of(outcome).problem or "")
    assert service.containers == {}


async def test_only_the_last_attempt_is_kept(service: FakeService) -> None:
    ran = await run(service, "exit 3", keep_failed=True, **FAILS)

    assert service.requests.count("commit") == 1
    assert (await kept(service))["a"].id == snapshot_of(ran.outcome()).image


async def test_nothing_is_kept_of_a_cell_that_passes_in_the_end(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not even where nobody knew that the first attempt was not the last."""
    monkeypatch.setattr("barasync.engine.aftermath.is_surely_retried", lambda *_facts: False)
    script = f"test -e {tmp_path}/x || {{ : >{tmp_path}/x; exit 3; }}"

    ran = await run(service, script, keep_failed=True, **FAILS)

    assert service.requests.count("commit") == 1
    assert (ran.outcome().status, ran.outcome().flaky) == (Status.PASSED, True)
    assert ran.outcome().snapshot is None
    assert await kept(service) == {}


async def test_the_first_that_fails_is_kept_and_those_that_are_cancelled_for_it_are_not(
    service: FakeService,
) -> None:
    scripts = {"a": "exit 3", "b": "sleep 60"}

    ran = await run(service, scripts, keep_failed=True, fail_fast=True)

    assert ran.outcome("b").status is Status.CANCELLED
    assert ran.outcome("b").snapshot is None
    assert set(await kept(service)) == {"a"}
    assert service.containers == {}


async def test_an_interrupted_cell_is_not_kept(service: FakeService) -> None:
    scripts = {"a": "sleep 60", "b": "true"}

    ran = await run(service, scripts, keep_failed=True, interrupted_at="b")

    assert ran.outcome().status is Status.CANCELLED
    assert ran.outcome().snapshot is None
    assert "commit" not in service.requests


async def test_of_a_cell_that_failed_before_it_had_a_container_that_is_said(
    service: FakeService,
) -> None:
    service.inject(Fault("create", Refuses(NO_SPACE)))

    ran = await run(service, "true", keep_failed=True)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert snapshot_of(ran.outcome()) == Snapshot(
        name=f"{KEPT}a", kept=True, problem="no container of it came to an end"
    )


async def test_a_snapshot_that_was_asked_for_is_all_that_is_made_of_a_failed_cell(
    service: FakeService,
) -> None:
    ran = await run(service, "exit 3", keep_failed=True, snapshot="broken:1")

    assert service.requests.count("commit") == 1
    assert snapshot_of(ran.outcome()).name == "localhost/broken:1"
    assert snapshot_of(ran.outcome()).settings is not None
    assert await kept(service) == {}


async def test_a_stalled_podman_does_not_hold_up_the_end_of_an_interrupted_run(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.images.snapshot._SECONDS_WHEN_CANCELLED", 0.2)
    service.inject(Fault("commit", Hangs(), labels={CELL: "a"}))

    ran = await run(
        service, {"a": "exit 3", "b": "true"}, jobs=1, keep_failed=True, interrupted_at="b"
    )

    outcome = ran.outcome("a")
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, 3)
    assert snapshot_of(outcome).problem == "it had not been taken when the run was stopped"
    assert service.containers == {}
