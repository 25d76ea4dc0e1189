"""Secrets of real podmans: kept, found, given to containers, and gone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from barasync.aiopodman import (
    Conflict,
    ContainerSpec,
    NotFound,
    Podman,
    SecretFile,
    ServerError,
    quirks,
)
from barasync.aiopodman.secrets import MOST_BYTES
from tests.contract.running import created, finish, run, shell
from tests.rig import libpod
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio

NAME = "barasync-test"
LABELS = {"test.a": "1", "test.b": "2"}
VALUE = b"hunter2\0\xff\nsecond line\n"


@pytest.fixture(autouse=True)
async def nothing_is_left(podman: Podman) -> AsyncIterator[None]:
    yield
    with anyio.move_on_after(30, shield=True):
        for suffix in ("", "-2"):
            await podman.secrets.remove(NAME + suffix, missing_ok=True)


def with_file(image: str, script: str, **how: Any) -> ContainerSpec:
    return replace(shell(image, script), secret_files=(SecretFile(NAME, "KEY", **how),))


@pytest.mark.also_fake
async def test_a_secret_is_made_and_removed_by_name(podman: Podman) -> None:
    made = await podman.secrets.create(NAME, VALUE)

    found = [each for each in await podman.secrets.list() if each.spec.name == NAME]
    with pytest.raises(Conflict):
        await podman.secrets.create(NAME, VALUE)
    there = await podman.secrets.exists(NAME), await podman.secrets.exists(made)
    await podman.secrets.remove(NAME)

    assert there == (True, True)
    assert not await podman.secrets.exists(NAME)
    assert [each.id for each in found] == [made]
    assert NAME not in [each.spec.name for each in await podman.secrets.list()]
    with pytest.raises(NotFound):
        await podman.secrets.remove(NAME)
    await podman.secrets.remove(NAME, missing_ok=True)


@pytest.mark.also_fake
async def test_secret_labels_unlisted__secrets_are_found_by_their_labels(
    podman: Podman, service: RigService
) -> None:
    await podman.secrets.create(NAME, VALUE, labels=LABELS)
    await podman.secrets.create(f"{NAME}-2", VALUE, labels={"test.a": "1"})

    by_name = await podman.secrets.list(labels={"test.a": None})
    by_both = await podman.secrets.list(labels={"test.a": "1", "test.b": "2"})
    other = await podman.secrets.list(labels={"test.a": "2"})
    plain = libpod.request(service.endpoint.socket_path, "GET", "secrets/json")

    assert {each.spec.name for each in by_name} == {NAME, f"{NAME}-2"}
    assert [(each.spec.name, each.spec.labels) for each in by_both] == [(NAME, LABELS)]
    assert other == []
    unlisted = any(each["Spec"]["Labels"] is None for each in plain)
    assert unlisted == quirks.SECRET_LABELS_UNLISTED.is_active(podman.version.release)


@pytest.mark.also_fake
async def test_secret_names_are_short__one_of_64_characters_is_taken(
    podman: Podman,
) -> None:
    longest = "barasync-20261126-104405-ab12-1-A_b.c".ljust(64, "x")

    await podman.secrets.create(longest, VALUE)
    await podman.secrets.remove(longest)
    if quirks.SECRET_NAMES_ARE_SHORT.is_active(podman.version.release):
        with pytest.raises(ServerError, match="invalid secret name"):
            await podman.secrets.create(f"{longest}x", VALUE)
    else:
        await podman.secrets.create(f"{longest}x", VALUE)
        await podman.secrets.remove(f"{longest}x")


@pytest.mark.also_fake
@pytest.mark.parametrize(("size", "fits"), [(0, False), (1, True), (MOST_BYTES, True)])
async def test_a_secret_holds_something_and_not_too_much(
    podman: Podman, size: int, fits: bool
) -> None:
    if fits:
        await podman.secrets.create(NAME, b"x" * size)
    else:
        with pytest.raises(ServerError, match="larger than 0 and less than 512000"):
            await podman.secrets.create(NAME, b"x" * size)
    with pytest.raises(ServerError, match="larger than 0 and less than 512000"):
        await podman.secrets.create(f"{NAME}-2", b"x" * (MOST_BYTES + 1))


async def test_a_file_holds_the_bytes_and_every_user_may_read_it(
    podman: Podman, busybox: str
) -> None:
    await podman.secrets.create(NAME, VALUE)
    spec = with_file(busybox, "stat -c '%a %u %g' /run/secrets/KEY; cat /run/secrets/KEY")

    for user in ("0", "1000"):
        ended = await run(podman, replace(spec, user=user))
        assert ended.stdout == b"444 0 0\n" + VALUE, ended


async def test_a_file_may_be_elsewhere_and_for_root_alone(podman: Podman, busybox: str) -> None:
    await podman.secrets.create(NAME, VALUE)
    spec = shell(busybox, "stat -c %a /etc/key; cat /etc/key || echo denied")
    spec = replace(spec, secret_files=(SecretFile(NAME, "/etc/key", mode=0o400),), user="1000")

    assert (await run(podman, spec)).stdout == b"400\ndenied\n"


@pytest.mark.also_fake
async def test_a_variable_holds_the_bytes(podman: Podman, busybox: str) -> None:
    await podman.secrets.create(NAME, b"hunter2\nsecond line\n")
    spec = replace(shell(busybox, 'printf "%s" "$TOKEN"'), secret_env={"TOKEN": NAME})

    assert (await run(podman, spec)).stdout == b"hunter2\nsecond line\n"


@pytest.mark.also_fake
async def test_secret_env_is_shown__only_by_inspect_of_an_old_podman(
    podman: Podman, service: RigService, busybox: str
) -> None:
    await podman.secrets.create(NAME, b"hunter2")
    spec = replace(shell(busybox, "true"), secret_env={"TOKEN": NAME})

    async with created(podman, spec) as container:
        await finish(container)
        shown = libpod.request(
            service.endpoint.socket_path, "GET", f"containers/{container.id}/json"
        )

    environment = json.dumps(shown["Config"].pop("Env"))
    old = quirks.SECRET_ENV_IS_SHOWN.is_active(podman.version.release)
    assert ("hunter2" in environment) == old
    assert "hunter2" not in json.dumps(shown)


@pytest.mark.also_fake
async def test_a_missing_secret_fails_the_container(podman: Podman, busybox: str) -> None:
    spec = replace(shell(busybox, "true"), secret_env={"TOKEN": NAME})
    with pytest.raises(NotFound, match="no such secret"):
        await podman.containers.create(spec)


async def test_a_missing_secret_of_a_file_fails_the_container(podman: Podman, busybox: str) -> None:
    with pytest.raises(NotFound, match="no such secret"):
        await podman.containers.create(with_file(busybox, "true"))


async def test_a_secret_may_go_while_a_container_of_it_runs(podman: Podman, busybox: str) -> None:
    await podman.secrets.create(NAME, VALUE)
    script = "trap 'cat /run/secrets/KEY; exit' USR1; echo started; while :; do sleep 0.05; done"

    async with (
        created(podman, with_file(busybox, script)) as container,
        container.start_attached() as chunks,
    ):
        output = (await anext(chunks)).data
        await podman.secrets.remove(NAME)
        await container.kill("SIGUSR1")
        output += b"".join([chunk.data async for chunk in chunks])

    assert output == b"started\n" + VALUE


async def test_an_image_made_of_a_container_has_nothing_of_its_secrets(
    podman: Podman, busybox: str
) -> None:
    await podman.secrets.create(NAME, b"hunter2")
    spec = replace(with_file(busybox, "cat /run/secrets/KEY"), secret_env={"TOKEN": NAME})

    async with created(podman, spec) as container:
        assert (await finish(container)).stdout == b"hunter2"
        image = await container.commit(repository="localhost/barasync-test/secret", tag="1")
    try:
        script = 'echo "$TOKEN."; cat /run/secrets/KEY'
        ended = await run(podman, shell(image, script))
    finally:
        await podman.images.remove(image)

    assert ended.stdout == b".\n"


async def test_an_archive_of_a_container_has_nothing_of_its_secrets(
    podman: Podman, busybox: str
) -> None:
    await podman.secrets.create(NAME, b"hunter2")

    async with created(podman, with_file(busybox, "true")) as container:
        await finish(container)
        async with container.archive("/run/secrets") as chunks:
            data = b"".join([chunk async for chunk in chunks])

    assert data.startswith(b"secrets")
    assert b"hunter2" not in data


async def test_a_rootless_podman_gives_files_and_variables_too(
    rootless_podman: Podman, rootless_busybox: str
) -> None:
    script = "stat -c '%a %u' /run/secrets/KEY; cat /run/secrets/KEY; echo $TOKEN"
    spec = replace(with_file(rootless_busybox, script), secret_env={"TOKEN": NAME}, user="1000")
    await rootless_podman.secrets.create(NAME, b"hunter2\n", labels=LABELS)
    try:
        ended = await run(rootless_podman, spec)
        found = await rootless_podman.secrets.list(labels={"test.a": "1"})
    finally:
        await rootless_podman.secrets.remove(NAME)

    assert ended.stdout == b"444 0\nhunter2\nhunter2\n"
    assert [each.spec.name for each in found] == [NAME]
