"""Images sent to and fetched from a real registry, through the client alone."""

from __future__ import annotations

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import APIError, Podman, RegistryLogin, ServerError, quirks
from tests.contract.registry_images import made, published
from tests.rig.faulty_registry import BLOB, Fault, FaultyRegistry
from tests.rig.registry import PASSWORD, USER, Registry

pytestmark = pytest.mark.anyio


def login_to(registry: Registry, password: str = PASSWORD) -> RegistryLogin:
    return RegistryLogin(registry=registry.host, username=USER, password=password)


async def test_push_tells_no_digest__what_was_pushed_is_pulled_again_by_who_logs_in(
    podman: Podman, closed_registry: Registry
) -> None:
    name = f"{closed_registry.host}/team/private:1"
    login = login_to(closed_registry)
    async with made(podman) as image:
        digest = await podman.images.push(image, name, login=login, tls_verify=False)
        await podman.images.remove(image, force=True)

        assert await podman.images.pull(name, login=login, tls_verify=False) == image

    silent = quirks.PUSH_TELLS_NO_DIGEST.is_active(podman.version.release)
    assert digest == ("" if silent else closed_registry.digest("team/private", "1"))


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_who_does_not_log_in_is_refused(
    podman: Podman, closed_registry: Registry, password: str | None
) -> None:
    name = f"{closed_registry.host}/team/none:1"
    login = None if password is None else login_to(closed_registry, password)
    async with made(podman) as image:
        with pytest.raises(APIError, match="authentication required"):
            await podman.images.push(image, name, login=login, tls_verify=False)
    with pytest.raises(ServerError, match="authentication required"):
        await podman.images.pull(name, login=login, tls_verify=False)

    assert closed_registry.digest("team/none", "1") is None


async def test_a_password_goes_to_its_registry_alone(
    podman: Podman, closed_registry: Registry
) -> None:
    login = RegistryLogin(registry="other.example", username=USER, password=PASSWORD)

    with pytest.raises(ServerError, match="authentication required"):
        await podman.images.pull(
            f"{closed_registry.host}/team/none:1", login=login, tls_verify=False
        )


async def test_a_registry_without_tls_is_used_only_where_that_is_said(
    podman: Podman, open_registry: Registry
) -> None:
    name = f"{open_registry.host}/team/plain:1"
    async with made(podman) as image:
        with pytest.raises(APIError, match="HTTP response to HTTPS client"):
            await podman.images.push(image, name)
        with pytest.raises(ServerError, match="HTTP response to HTTPS client"):
            await podman.images.pull(name)


async def test_an_image_that_is_not_here_cannot_be_pushed(
    podman: Podman, open_registry: Registry
) -> None:
    with pytest.raises(APIError, match="image not known"):
        await podman.images.push(
            "localhost/none:1", f"{open_registry.host}/a/b:1", tls_verify=False
        )


async def test_a_pull_that_is_given_up_ends_in_podman_too_and_leaves_no_image(
    podman: Podman, open_registry: Registry, faulty: FaultyRegistry
) -> None:
    async with published(podman, open_registry, "stalled", "amd64") as image:
        faulty.faults = [Fault(matching=BLOB, stalls=True, times=1)]
        name = image.reference.replace(open_registry.host, faulty.host)

        async with anyio.create_task_group() as group:

            async def pull() -> None:
                await podman.images.pull(name, tls_verify=False)

            group.start_soon(pull)
            assert await to_thread.run_sync(faulty.stalled.wait, 30)
            group.cancel_scope.cancel()

        assert await to_thread.run_sync(faulty.abandoned.wait, 30)
        assert not await podman.images.exists(name)
