"""Copies into a cell that podman refuses, or whose source changes: said, and nothing runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.config.copies import Copy
from barasync.config.schema import RetryOn
from barasync.matrix.outcome import Status
from barasync.workspace.copies import CopySource, read_copies
from tests.fake.faults import Dies, Fault, Refuses
from tests.fake.service import FakeService
from tests.faults.world import run

pytestmark = pytest.mark.anyio


@pytest.fixture
def copies(tmp_path: Path) -> tuple[CopySource, ...]:
    """A directory with a file that is to become `/workspace/app`, and the file as another one."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/file").write_text("text")
    wanted = (
        Copy(str(tmp_path / "src"), "/workspace/app"),
        Copy(str(tmp_path / "src/file"), "/workspace/alone"),
    )
    return read_copies(wanted, checkpoint=lambda: None)


@pytest.fixture
def through_a_link(tmp_path: Path) -> tuple[CopySource, ...]:
    """A directory with a link to `/workspace/real`, and a file that is to go through it."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/link").symlink_to("../real")
    (tmp_path / "text").write_text("text")
    wanted = (
        Copy(str(tmp_path / "app"), "/workspace/app"),
        Copy(str(tmp_path / "text"), "/workspace/app/link/file"),
    )
    return read_copies(wanted, checkpoint=lambda: None)


async def test_without_a_fault_every_attempt_has_them(
    service: FakeService, copies: tuple[CopySource, ...]
) -> None:
    ran = await run(
        service,
        "cat app/file alone; rm app/file; exit 1",
        copies=copies,
        retries=1,
        retry_on=(RetryOn.FAILED,),
    )

    assert ran.outcome().status is Status.FAILED
    assert ran.stdout() == b"texttext"
    assert "copy" in ran.outcome().phases
    assert service.containers == {}


async def test_a_copy_that_podman_refuses_is_its_failure_and_nothing_runs(
    service: FakeService, copies: tuple[CopySource, ...]
) -> None:
    service.inject(Fault("put-archive", Refuses("no space left on device")))

    ran = await run(service, "echo ran", copies=copies)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert "no space left on device" in ran.outcome().reason
    assert ran.stdout() == b""
    assert service.containers == {}


@pytest.mark.parametrize("performed", [True, False], ids=["performed", "not performed"])
async def test_podman_that_dies_over_a_copy_and_comes_back_ends_it_and_leaves_nothing(
    service: FakeService, copies: tuple[CopySource, ...], *, performed: bool
) -> None:
    service.inject(Fault("put-archive", Dies(performed=performed, comes_back=True), times=1))

    ran = await run(service, "echo ran", copies=copies, outage=5.0)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert ran.stdout() == b""
    assert service.containers == {}


async def test_a_file_that_changed_ends_the_run_with_2_and_nothing_runs(
    service: FakeService, copies: tuple[CopySource, ...]
) -> None:
    (copies[0].root / "file").write_text("other")

    ran = await run(service, "echo ran", copies=copies, retries=3)

    assert ran.result.exit_code == 2
    assert "changed while it was read" in ran.outcome().reason
    assert ran.stdout() == b""
    assert service.containers == {}


@pytest.mark.parametrize("lists", [True, False], ids=["lists", "lists nothing"])
async def test_a_container_that_is_left_by_a_copy_that_failed_is_named(
    service: FakeService, copies: tuple[CopySource, ...], impatient: None, *, lists: bool
) -> None:
    del impatient
    (copies[0].root / "file").write_text("other")
    service.inject(Fault("delete", Refuses("device or resource busy")))
    if not lists:
        service.inject(Fault("list", Refuses("database is locked")))

    ran = await run(service, "echo ran", copies=copies)

    outcome = ran.outcome()
    assert outcome.status is Status.LEAKED
    assert outcome.container_id is not None
    assert f"container {outcome.container_id[:12]} could not be removed" in outcome.reason
    assert "changed while it was read" in outcome.reason
    assert ran.result.exit_code == 2
    assert list(service.containers.values()) == ["created"]


async def test_a_link_that_was_copied_before_is_followed(
    service: FakeService, through_a_link: tuple[CopySource, ...]
) -> None:
    ran = await run(service, "cat real/file; test -L app/link", copies=through_a_link)

    assert ran.outcome().status is Status.PASSED, ran.outcome().reason
    assert ran.stdout() == b"text"


async def test_a_link_that_was_copied_before_and_leads_to_a_mount_is_refused(
    service: FakeService, through_a_link: tuple[CopySource, ...]
) -> None:
    volumes = ("volume:/workspace/real",)

    ran = await run(service, "echo ran", copies=through_a_link, volumes=volumes)

    assert ran.result.exit_code == 2
    said = "/workspace/real/file, where a link leads, cannot be copied: something is mounted at"
    assert said in ran.outcome().reason
    assert ran.stdout() == b""
    assert service.containers == {}
