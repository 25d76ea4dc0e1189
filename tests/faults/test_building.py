"""`image build` as a whole: what its names stand for afterwards, and what it says of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import Podman
from barasync.cli.building import Build, Built, build_images
from barasync.cli.project import find_project
from barasync.engine.image_uses import Uses
from barasync.errors import ConfigError
from barasync.images.elf import executable
from barasync.images.failures import WrongPlatform
from barasync.images.manifest import publish
from barasync.images.registry import Registries
from barasync.images.tags import parse_tag
from barasync.matrix.platforms import Platform, parse
from tests.fake.images import native_architecture
from tests.fake.service import FakeService

pytestmark = pytest.mark.anyio

NATIVE = Platform(native_architecture())
OTHER = parse("riscv64")
BASE = "localhost/base:latest"
NAME = "localhost/app:latest"
# Nothing is executed: no emulator is needed.
DECLARED = f"""
[images.below]
from = "{BASE}"
env = {{ A = "1" }}
[images.app]
from = "below"
copy = ["file:/tmp/file"]
"""


@dataclass
class Site:
    """A project that declares `app`, for a service that has its base for two platforms."""

    service: FakeService
    project: Path
    environ: Mapping[str, str]
    said: list[str] = field(default_factory=list)

    async def declare(self, text: str) -> None:
        await (anyio.Path(self.project) / "barasync.toml").write_text(text)

    async def build(
        self, *platforms: Platform, name: str = "app", tags: Iterable[str] = (), **more: bool
    ) -> Built:
        self.said.clear()
        project = await to_thread.run_sync(find_project, self.project)
        build = Build(
            project=project,
            names=(name,),
            platforms=platforms,
            tags=tuple(parse_tag(tag, "--tag") for tag in tags),
            cache=more.get("cache", True),
            jobs=1,
            url=self.service.endpoint.url,
            environ=self.environ,
            registries=Registries(environ={}),
            verbose=False,
            check_elf=more.get("check_elf", False),
        )
        with anyio.fail_after(20):
            (built,) = await build_images(build, notify=self.said.append)
        return built

    async def members(self, name: str = NAME) -> dict[str, str]:
        """The IDs of the images that a name stands for, by architecture."""
        async with self.client() as podman:
            ids = {image.digest: image.id for image in await podman.images.list(all=True)}
            entries = await podman.manifests.entries(name)
        return {entry.platform.architecture: ids[entry.digest] for entry in entries}

    async def named(self, name: str = NAME) -> str:
        """The ID of what has a name."""
        async with self.client() as podman:
            images = await podman.images.list(all=True)
        return next(image.id for image in images if name in image.repo_tags)

    @property
    def names(self) -> set[str]:
        """The names of all images."""
        return {name for image in self.service.images.values() for name in image["RepoTags"]}

    @property
    def notes(self) -> list[str]:
        return [line for line in self.said if line.startswith("note: ")]

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Podman]:
        async with Podman(self.service.endpoint, timeout=5) as podman:
            yield podman


@pytest.fixture
async def site(service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    members = {
        platform: service.image(f"localhost/{platform.architecture}", platform.architecture)
        for platform in (NATIVE, OTHER)
    }
    project = tmp_path / "project"
    project.mkdir()
    (project / "file").write_text("text")
    site = Site(service, project, {"HOME": str(tmp_path)})
    await site.declare(DECLARED)
    async with site.client() as podman:
        await publish(podman, BASE, members)
    return site


def held_too_late(
    site: Site, monkeypatch: pytest.MonkeyPatch, doomed: Callable[[str], bool]
) -> list[str]:
    """Have an image removed just before it is held, once; return which that was."""
    hold, removed = Uses.hold, list[str]()

    async def late(self: Uses, *images: str) -> None:
        for image in images:
            if not removed and doomed(image):
                removed.append(image)
                await to_thread.run_sync(site.service.remove_image, image)
        await hold(self, *images)

    monkeypatch.setattr(Uses, "hold", late)
    return removed


async def test_an_image_that_was_found_and_is_gone_when_it_gets_a_name_is_made_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (await site.build(NATIVE)).ids[NATIVE]
    removed = held_too_late(site, monkeypatch, lambda image: image == first)

    second = (await site.build(NATIVE)).ids[NATIVE]

    assert removed == [first]
    assert second != first
    assert await site.named() == second


@pytest.mark.parametrize("cache", [True, False], ids=["cached", "anew"])
async def test_an_image_whose_steps_another_name_has_made_has_its_own_names(
    site: Site, *, cache: bool
) -> None:
    twin = '[images.twin]\nfrom = "below"\ncopy = ["file:/tmp/file"]\n'
    await site.declare(DECLARED + twin)
    await site.build(NATIVE)

    built = await site.build(NATIVE, name="twin", cache=cache)
    again = await site.build(NATIVE, name="twin")

    own = f"localhost/barasync/twin:{NATIVE.architecture}-"
    names = set(site.service.images[built.ids[NATIVE]]["RepoTags"])
    assert len([name for name in names if name.startswith(own)]) == 1
    assert "localhost/twin:latest" in names
    assert again.ids == built.ids


async def test_a_shell_for_another_machine_is_found_before_the_image_gets_a_name(
    site: Site,
) -> None:
    await site.declare(DECLARED.replace("/tmp/file", "/bin/sh"))
    await (anyio.Path(site.project) / "file").write_bytes(executable(OTHER))

    said = f"image app says that it is for {NATIVE}, but its /bin/sh is for {OTHER.architecture}"
    refused = pytest.RaisesGroup(
        pytest.RaisesExc(WrongPlatform, match=said), flatten_subgroups=True
    )

    with refused:
        await site.build(NATIVE, check_elf=True)

    assert NAME not in site.names
    assert site.service.containers == {}
    await site.build(NATIVE)
    assert NAME in site.names
    with refused:
        await site.build(NATIVE, check_elf=True)


async def test_a_build_for_one_platform_keeps_the_others_of_its_name_that_are_as_declared(
    site: Site,
) -> None:
    both = await site.build(NATIVE, OTHER)
    listed = await site.named()
    await (anyio.Path(site.project) / "beside").write_text("nothing copies it")

    one = await site.build(NATIVE)

    assert one.ids == {NATIVE: both.ids[NATIVE]}
    assert await site.named() == listed
    assert site.notes == []


async def test_what_is_made_anew_takes_the_place_of_its_own_platform_alone(site: Site) -> None:
    both = await site.build(NATIVE, OTHER)

    one = await site.build(NATIVE, cache=False)

    assert one.ids[NATIVE] != both.ids[NATIVE]
    assert await site.members() == {
        NATIVE.architecture: one.ids[NATIVE],
        OTHER.architecture: both.ids[OTHER],
    }
    assert site.notes == []


@pytest.mark.parametrize("change", ["below", "file", "gone"])
async def test_a_platform_whose_image_is_not_as_declared_any_more_leaves_the_name_and_is_told(
    site: Site, change: str
) -> None:
    both = await site.build(NATIVE, OTHER, tags=["mine:1"])
    match change:
        case "below":
            await site.declare(DECLARED.replace('A = "1"', 'A = "2"'))
        case "file":
            await (anyio.Path(site.project) / "file").write_text("other")
        case _:
            await to_thread.run_sync(site.service.remove_image, both.ids[OTHER])

    one = await site.build(NATIVE, tags=["mine:1"])

    assert await site.named("localhost/mine:1") == one.ids[NATIVE]
    (note,) = site.notes
    assert note.startswith("note: localhost/mine:1 has no image for linux/riscv64 any more: ")
    again = await site.build(NATIVE, tags=["mine:1"])
    assert (again.ids, site.notes) == (one.ids, [])


async def test_a_platform_that_nobody_can_build_for_leaves_the_name(site: Site) -> None:
    async with site.client() as podman:
        strange = await to_thread.run_sync(site.service.image, "localhost/strange", "vax")
        native = await site.named(f"localhost/{NATIVE.architecture}:latest")
        await publish(podman, NAME, {NATIVE: native, Platform("vax"): strange})

    await site.build(NATIVE)

    (note,) = site.notes
    assert "linux/vax" in note


async def test_a_list_keeps_the_platforms_that_it_was_not_built_for(site: Site) -> None:
    third = parse("arm64" if NATIVE.architecture != "arm64" else "amd64")
    async with site.client() as podman:
        members = {
            platform: await to_thread.run_sync(
                site.service.image, f"localhost/{platform.architecture}", platform.architecture
            )
            for platform in (NATIVE, OTHER, third)
        }
        await publish(podman, BASE, members)
    all_three = await site.build(NATIVE, OTHER, third)

    two = await site.build(NATIVE, OTHER, cache=False)

    assert await site.members() == {
        NATIVE.architecture: two.ids[NATIVE],
        OTHER.architecture: two.ids[OTHER],
        third.architecture: all_three.ids[third],
    }
    await (anyio.Path(site.project) / "file").write_text("other")
    two = await site.build(NATIVE, OTHER)
    assert len(await site.members()) == 2
    assert site.notes[0].startswith(f"note: {NAME} has no image for {third} any more: ")


async def test_an_image_that_is_kept_in_a_list_is_held_and_one_that_is_gone_is_not_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = await site.build(NATIVE, OTHER)
    removed = held_too_late(site, monkeypatch, lambda image: image == both.ids[OTHER])

    one = await site.build(NATIVE, cache=False)

    assert removed == [both.ids[OTHER]]
    assert await site.named() == one.ids[NATIVE]
    assert len(site.notes) == 1


@pytest.mark.parametrize("tag", ["localhost/base:latest", "base"])
async def test_an_image_does_not_get_the_name_of_what_it_begins_with(site: Site, tag: str) -> None:
    before = site.names

    with pytest.raises(ConfigError, match=f"--tag {BASE}: 'app' begins with {BASE}"):
        await site.build(NATIVE, tags=["localhost/free:1", tag])

    assert site.names == before
