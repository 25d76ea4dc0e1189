"""Health checks, and containers that go together: what is asked of podman."""

from __future__ import annotations

import pytest

from tests.unit.recorded import CONTAINER, ID, answering

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


async def test_a_container_goes_with_those_that_depend_on_it_if_that_is_asked_for() -> None:
    service = answering(200, json=[])

    async with service.client() as podman:
        await podman.containers.handle(ID).remove(force=True, dependents=True)

    assert service.only.query["depend"] == ["true"]
