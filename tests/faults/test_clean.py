"""What `barasync clean` removes where podman does not list everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.aiopodman import ContainerSpec, Podman
from barasync.cli.cleaning import clean_service
from barasync.engine.identity import ATTEMPT, CELL, Identity
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK
from tests.fake.faults import Fault, Refuses
from tests.fake.service import FakeService

pytestmark = pytest.mark.anyio

FULL = Refuses("no space left on device")


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the cgroups and directories of this host alone."""
    monkeypatch.setattr("barasync.cli.connect._cgroups", lambda: None)
    monkeypatch.setattr("barasync.cli.cleaning.abandoned", lambda *_, **__: ())


@pytest.fixture
async def left(service: FakeService) -> FakeService:
    """A service with a container and a secret of a run that cannot be judged from here."""
    image = service.image("localhost/base")
    elsewhere = Identity(host="there", boot="b", namespace="1", pid=1, start=1)
    labels = elsewhere.labels("run-1")
    async with Podman(service.endpoint, timeout=2) as podman:
        await podman.containers.create(ContainerSpec(image=image, labels=labels, name="cell"))
        await podman.secrets.create("password", b"x", labels=labels)
    return service


async def clean(service: FakeService, *, dry_run: bool = False) -> int:
    return await clean_service(
        service.endpoint.url,
        {},
        Path("/nowhere"),
        dry_run=dry_run,
        everything=True,
        caches=False,
        kept=False,
    )


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("operation", "kind"),
    [("image-list", "layer"), ("volumes", "volume"), ("networks", "network")],
)
async def test_what_can_be_listed_is_removed_where_something_cannot(
    left: FakeService,
    capsys: pytest.CaptureFixture[str],
    operation: str,
    kind: str,
    dry_run: bool,
) -> None:
    left.inject(Fault(operation, FULL))

    assert await clean(left, dry_run=dry_run) == EXIT_NOT_PASSED

    said = capsys.readouterr()
    end = "would be removed" if dry_run else "removed"
    assert (
        said.out
        == f"container cell (run run-1, created): {end}\nsecret password (run run-1): {end}\n"
    )
    assert (len(left.containers), len(left.secrets)) == ((1, 1) if dry_run else (0, 0))
    (line,) = said.err.splitlines()
    assert line.startswith(f"{kind}s could not be listed: no space left on device (GET")
    assert line.endswith("; run `barasync clean` again when podman can")


async def test_nothing_is_not_said_to_be_left_where_that_is_not_known(
    service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await clean(service) == EXIT_OK
    assert capsys.readouterr().out == "nothing was left by any run\n"

    service.inject(Fault("image-list", FULL))

    assert await clean(service) == EXIT_NOT_PASSED
    assert capsys.readouterr().out == ""


async def test_a_container_that_is_to_go_on_stays_and_is_told(
    service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    image = service.image("localhost/base")
    elsewhere = Identity(host="there", boot="b", namespace="1", pid=1, start=1)
    labels = {**elsewhere.labels("r"), CELL: "c", ATTEMPT: "1"}
    name = "barasync-r-c-1-detached"
    async with Podman(service.endpoint, timeout=2) as podman:
        await podman.containers.create(ContainerSpec(image=image, labels=labels, name=name))

    assert await clean(service) == EXIT_OK

    said = capsys.readouterr()
    assert said.out == "nothing was left by any run\n"
    assert said.err == (
        f"1 detached container left alone; `barasync container remove --force {name}` removes it\n"
    )
    assert len(service.containers) == 1
