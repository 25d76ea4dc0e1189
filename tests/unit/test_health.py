"""Health checks, and containers that go together: what is asked of podman."""

from __future__ import annotations

import pytest

from barasync.aiopodman import HealthCheck, HealthSettings, ServerError
from tests.unit.recorded import CONTAINER, ID, answering, refusing

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(("status", "healthy"), [("healthy", True), ("unhealthy", False)])
async def test_exec_leaves_monitors__so_a_command_is_executed_as_a_health_check(
    status: str, healthy: bool
) -> None:
    service = answering(200, json={"Status": status, "FailingStreak": 0, "Log": None})

    async with service.client() as podman:
        assert await podman.containers.handle(ID).check_health() is healthy

    assert (service.only.method, service.only.path) == ("GET", f"{CONTAINER}/healthcheck")


@pytest.mark.parametrize(
    ("settings", "check"),
    [
        (
            HealthSettings(
                test=["CMD-SHELL", "test -e /x"],
                interval=3_600_000_000_000,
                timeout=500_000_000,
                retries=2,
                start_period=1_000_000_000,
            ),
            HealthCheck(
                command="test -e /x", interval=3600, timeout=0.5, retries=2, start_period=1
            ),
        ),
        (
            HealthSettings(test=["CMD", "/check", "-q"]),
            HealthCheck(command=("/check", "-q"), interval=30, timeout=30, retries=3),
        ),
        (HealthSettings(test=["NONE"]), None),
        (HealthSettings(test=["CMD"]), None),
        (HealthSettings(), None),
    ],
)
def test_the_check_of_an_image_can_be_had_for_a_container(
    settings: HealthSettings, check: HealthCheck | None
) -> None:
    assert settings.as_check() == check


async def test_a_container_goes_with_those_that_depend_on_it_if_that_is_asked_for() -> None:
    service = answering(200, json=[])

    async with service.client() as podman:
        await podman.containers.handle(ID).remove(force=True, dependents=True)

    assert service.only.query["depend"] == ["true"]


async def test_a_check_that_podman_failed_over_is_not_executed_again() -> None:
    service = refusing(500, "database is locked")

    async with service.client() as podman:
        with pytest.raises(ServerError):
            await podman.containers.handle(ID).check_health()

    assert service.only.path == f"{CONTAINER}/healthcheck"
