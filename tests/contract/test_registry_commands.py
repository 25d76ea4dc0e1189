"""`image pull`, `image push` and a matrix, with a real registry."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import Podman
from barasync.aiopodman.manifests import Member
from tests.contract.registry_images import made, published
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, call
from tests.rig.registry import Registry, credentials
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Barasync:
    environ = {**os.environ, "NO_COLOR": "1", "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    return Barasync(tmp_path, service.endpoint.url, environ)


def log_in(barasync: Barasync, registry: Registry) -> None:
    entry = {"auths": {registry.host: {"auth": credentials()}}}
    (barasync.directory / "auth.json").write_text(json.dumps(entry))


@asynccontextmanager
async def names_given_back(podman: Podman, image_id: str) -> AsyncIterator[None]:
    """Take the names from an image again that it gets in the block."""
    before = (await podman.images.inspect(image_id)).repo_tags
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            for name in {*(await podman.images.inspect(image_id)).repo_tags} - {*before}:
                await podman.images.remove(name)


async def test_an_image_is_pulled_for_every_architecture_at_once(
    podman: Podman, barasync: Barasync, open_registry: Registry
) -> None:
    async with published(podman, open_registry, "pulled", "amd64", "arm64", "riscv64") as image:
        words = ("image", "pull", image.reference, "--arch", "amd64,arm64,riscv64", "--insecure")
        ended = await call(barasync, *words)
        architectures = {
            each: (await podman.images.inspect(image_id)).architecture
            for each, image_id in image.ids.items()
        }

    assert ended.code == 0, ended.err
    name, repository = image.reference, image.reference.removesuffix(":1")
    assert ended.out.splitlines() == [
        *(f"{name} {each} {image.ids[each]}" for each in image.ids),
        *(f"{name} {each} digest {repository}@{image.digests[each]}" for each in image.ids),
        f"{name} list {repository}@{image.digest}",
    ]
    assert architectures == {each: each for each in image.ids}
    said = [line for line in ended.err.splitlines() if line.startswith(f"{name} arm64: ")]
    assert len(said) == 2
    assert said[1].endswith(f" s: {image.digests['arm64']}")


async def test_a_manifest_list_is_pushed_with_all_of_its_images_by_who_is_logged_in(
    podman: Podman, barasync: Barasync, closed_registry: Registry
) -> None:
    log_in(barasync, closed_registry)
    name, target = "localhost/barasync-test/pushed:1", f"{closed_registry.host}/test/list:1"
    async with made(podman, "amd64") as one, made(podman, "arm64") as other:
        list_id = await podman.manifests.create(name)
        try:
            for image, architecture in ((one, "amd64"), (other, "arm64")):
                member = Member(image=image, architecture=architecture)
                await podman.manifests.add(list_id, member)
            ended = await call(barasync, "image", "push", name, target, "--insecure")
        finally:
            await podman.manifests.remove(list_id)

    assert ended.code == 0, ended.err
    digest = closed_registry.digest("test/list", "1")
    assert ended.out == f"{closed_registry.host}/test/list@{digest}\n"


async def test_who_is_not_logged_in_is_told_how_to(
    podman: Podman, barasync: Barasync, closed_registry: Registry
) -> None:
    (barasync.directory / "auth.json").write_text("{}")
    target = f"{closed_registry.host}/test/refused:1"
    async with made(podman) as image:
        ended = await call(barasync, "image", "push", image, target, "--insecure")

    assert (ended.code, ended.out) == (5, "")
    assert f"hint: use `podman login {closed_registry.host}`" in ended.err


async def test_a_registry_without_tls_is_an_error_that_names_the_option(
    barasync: Barasync, open_registry: Registry
) -> None:
    (barasync.directory / "auth.json").write_text("{}")
    ended = await call(barasync, "image", "pull", f"{open_registry.host}/test/none:1")

    assert ended.code == 5
    assert "hint: `--insecure`" in ended.err


async def test_the_record_of_a_run_has_the_digests_and_the_id_of_what_a_tag_stood_for(
    podman: Podman,
    barasync: Barasync,
    open_registry: Registry,
    busybox_for: Callable[[str], str],
) -> None:
    (barasync.directory / "auth.json").write_text("{}")
    (barasync.directory / "file").write_text("of the workspace")
    image_id = busybox_for(native_architecture())
    name = f"{open_registry.host}/test/busybox:1"
    barasync.configure(f'[defaults]\nimage = "{name}"\ncommand = ["cat", "file"]\n')
    async with names_given_back(podman, image_id):
        pushed = await call(barasync, "image", "push", image_id, name, "--insecure")
        never = await call(barasync, "matrix", "tests", "--insecure", "--pull", "never")
        ran = await call(barasync, "matrix", "tests", "--insecure")

    assert pushed.code == 0, pushed.err
    assert never.code == 5
    assert "it is not to be pulled" in never.err
    assert ran.code == 0, ran.err + ran.out
    (cell,) = barasync.result()["cells"]
    digest = open_registry.digest("test/busybox", "1")
    assert pushed.out == f"{open_registry.host}/test/busybox@{digest}\n"
    assert cell["digest"] == f"{open_registry.host}/test/busybox@{digest}"
    assert (cell["list_digest"], cell["digests"]) == ("", [])
    assert cell["base_id"] == image_id
    assert cell["image_id"] != image_id, "it ran in a layer on top"


async def test_a_declared_image_begins_with_one_of_a_registry_that_wants_a_login(
    podman: Podman, barasync: Barasync, closed_registry: Registry
) -> None:
    log_in(barasync, closed_registry)
    base = f"{closed_registry.host}/test/base:1"
    barasync.configure(f'[images.tool]\nfrom = "{base}"\nenv = {{ A = "b" }}\n')
    words = ("image", "build", "tool", "--arch", "amd64", "--insecure")
    async with made(podman) as image:
        pushed = await call(barasync, "image", "push", image, base, "--insecure")
        assert pushed.code == 0, pushed.err
        await podman.images.remove(image, force=True)

        built = await call(barasync, *words)
        refused = await call(barasync, *words[:-1], "--pull", "always")

        assert built.code == 0, built.err
        tool = built.out.split()[2]
        await podman.images.remove(tool, force=True)

    assert tool != image
    assert refused.code == 5
    assert "has no TLS" in refused.err
