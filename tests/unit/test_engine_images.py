"""The declared images of a project, made once per platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import Podman, Rlimit
from barasync.config.schema import BootstrapTable, ImageTable
from barasync.engine import images as engine_images
from barasync.engine.build import BuildContext, Built
from barasync.engine.images import Images, executes
from barasync.errors import ConfigError, EngineUnavailable, ImageError
from barasync.images.bootstrap import recipe_for
from barasync.images.listing import Listing
from barasync.images.registry import Registries
from barasync.images.resolve import ResolvedImage
from barasync.images.steps import Step
from barasync.matrix.platforms import Platform, parse, short_name
from barasync.workspace.tree import Tree
from tests.unit.image_store import ImageStore, StoredImage

pytestmark = pytest.mark.anyio

AMD64, ARM64 = parse("amd64"), parse("arm64")
PACKAGES = BootstrapTable(suite="trixie", packages=["make"])
BASE = "localhost/x:latest"
HUB = "r.example/base:1"


async def no_tree() -> Tree:
    raise AssertionError("nothing copies the project")


def images(
    podman: Podman,
    declared: Mapping[str, ImageTable],
    held: list[str] | None = None,
    told: list[ResolvedImage] | None = None,
    *,
    printed: list[str] | None = None,
    check_elf: bool = False,
    able: bool = True,
    project: Path = Path("/nowhere"),
) -> Images:
    async def ready() -> tuple[Rlimit, ...]:
        if not able:
            raise EngineUnavailable("this host cannot")
        return ()

    async def hold(image: str) -> None:
        if held is not None:
            held.append(image)

    def on_output(name: str, platform: Platform, line: str) -> None:
        if printed is not None:
            printed.append(f"{name} {short_name(platform)} | {line}")

    context = BuildContext(
        on_output=on_output,
        podman=podman,
        project=project,
        tree=no_tree,
        labels={},
        maker={},
        logs=Path("/nowhere"),
        locks=Path("/nowhere"),
        processors=anyio.CapacityLimiter(2),
        hold=hold,
        ready=ready,
    )
    return Images(
        declared,
        context,
        registries=Registries(environ={}),
        cache_dir=Path("/nowhere"),
        on_found=(told if told is not None else []).append,
        check_elf=check_elf,
    )


class Builders:
    """Stands for the builder: says what it was asked for; an image is its parent and its name."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.limits: dict[str, float | None] = {}
        self.running = self.most = 0
        self.failing = ""

    def __call__(self, context: BuildContext) -> Builders:
        self.listing = Listing(context.podman)
        return self

    async def build(
        self,
        name: str,
        parent: str,
        steps: Sequence[Step],
        platform: Platform,
        *,
        step_seconds: float | None = None,
    ) -> Built:
        self.limits[name] = step_seconds
        self.asked.append(f"{name} {short_name(platform)} on {parent[:6]}, {len(steps)} steps")
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        self.running -= 1
        if name == self.failing:
            raise ImageError(f"image '{name}' failed")
        return Built(id=f"{parent}+{name}", key="1f3a" * 16, executed=0, log=None)

    async def has_name(self, _image: str, _name: str) -> bool:
        return True


@pytest.fixture
def builders(monkeypatch: pytest.MonkeyPatch) -> Builders:
    made = Builders()
    monkeypatch.setattr(engine_images, "Builder", made)
    return made


CHAIN = {
    "base": ImageTable(from_=BASE, run=["one"]),
    "left": ImageTable(from_="base", run=["two", "three"]),
    "right": ImageTable(from_="base", env={"A": "b"}),
    "top": ImageTable(from_="left", run=["four"]),
}


async def test_a_declared_name_is_the_image_of_its_recipe() -> None:
    store = ImageStore()
    recipe = recipe_for("toolchain", PACKAGES, ARM64)
    image = store.add(recipe.reference, "arm64", labels={"barasync.key": recipe.key})
    declared = {"toolchain": ImageTable(bootstrap=PACKAGES)}
    held: list[str] = []

    async with store.client() as podman:
        found = await images(podman, declared, held).get(("toolchain", ARM64))

    assert found == image.id
    assert held == [image.id], "it may be pruned while it is used"


@pytest.mark.usefixtures("builders")
@pytest.mark.parametrize("check_elf", [True, False])
async def test_shells_are_compared_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, *, check_elf: bool
) -> None:
    compared: list[tuple[str, Platform]] = []

    async def check_shell(
        _podman: Podman, _image: str, name: str, platform: Platform, **_: object
    ) -> None:
        compared.append((name, platform))

    monkeypatch.setattr(engine_images, "check_shell", check_shell)
    store = ImageStore()
    store.add(BASE, "arm64")
    declared = {"top": ImageTable(from_=BASE, run=["one"])}

    async with store.client() as podman:
        await images(podman, declared, check_elf=check_elf).get(("top", ARM64))

    assert compared == ([(BASE, ARM64), ("top", ARM64)] if check_elf else [])


@pytest.mark.usefixtures("builders")
async def test_every_image_is_told_of_with_what_its_registry_calls_it() -> None:
    store = ImageStore()
    image = store.add(HUB, "arm64", digests=("r.example/base@sha256:1",))
    declared = {"top": ImageTable(from_=HUB, run=["one"])}
    told: list[ResolvedImage] = []

    async with store.client() as podman:
        await images(podman, declared, told=told).get(("top", ARM64))

    assert told == [
        ResolvedImage(image.id, HUB, ARM64, digests=("r.example/base@sha256:1",)),
        ResolvedImage(f"{image.id}+top", "top", ARM64),
    ]


async def test_what_podman_says_of_a_pull_is_for_who_reads_what_steps_print() -> None:
    image = StoredImage("1" * 64, [], "arm64")
    store = ImageStore(registry={(HUB, "arm64"): image})
    printed: list[str] = []

    async with store.client() as podman:
        await images(podman, {}, printed=printed).get((HUB, ARM64))

    assert printed == [f"{HUB} arm64 | Trying to pull {HUB}..."]


async def test_an_image_is_looked_for_once_however_many_ask_and_again_when_it_is_gone() -> None:
    store = ImageStore()
    image = store.add(BASE, "arm64")
    key = (BASE, ARM64)

    async with store.client() as podman:
        source = images(podman, {})
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(source.get, key)
        assert len(store.requests) == 1
        source.forget(key, image.id)
        assert await source.get(key) == image.id

    assert len(store.requests) == 2


async def test_what_several_images_begin_with_is_made_once_and_branches_at_the_same_time(
    builders: Builders,
) -> None:
    store = ImageStore()
    image = store.add(BASE, "amd64")
    async with store.client() as podman:
        source = images(podman, CHAIN)
        async with anyio.create_task_group() as group:
            for name in ("top", "right"):
                group.start_soon(source.get, (name, AMD64))
        made = await source.get(("top", AMD64))

    base = image.id[:6]
    assert builders.asked[0] == f"base amd64 on {base}, 1 steps"
    assert sorted(builders.asked[1:]) == [
        f"left amd64 on {base}, 2 steps",
        f"right amd64 on {base}, 1 steps",
        f"top amd64 on {base}, 1 steps",
    ]
    assert builders.most == 2
    assert made == f"{image.id}+base+left+top"


async def test_architectures_are_built_at_the_same_time_on_their_own_base(
    builders: Builders,
) -> None:
    store = ImageStore()
    ids = [store.add(f"localhost/x:{each}", each).id for each in ("amd64", "arm64")]
    store.add(BASE, "", members=dict(zip(("amd64", "arm64"), ids, strict=True)))
    async with store.client() as podman:
        source = images(podman, CHAIN)
        async with anyio.create_task_group() as group:
            for platform in (AMD64, ARM64):
                group.start_soon(source.get, ("base", platform))

    assert sorted(builders.asked) == [
        f"base amd64 on {ids[0][:6]}, 1 steps",
        f"base arm64 on {ids[1][:6]}, 1 steps",
    ]
    assert builders.most == 2


async def test_an_image_that_fails_fails_all_that_begin_with_it_once(builders: Builders) -> None:
    store = ImageStore()
    store.add(BASE, "amd64")
    builders.failing = "base"
    async with store.client() as podman:
        source = images(podman, CHAIN)
        for name in ("top", "right", "base"):
            with pytest.raises(ImageError, match="image 'base' failed"):
                await source.get((name, AMD64))

    assert len(builders.asked) == 1


async def test_an_image_that_is_gone_is_made_anew_with_all_that_it_was_made_of(
    builders: Builders,
) -> None:
    store = ImageStore()
    store.add(BASE, "amd64")
    async with store.client() as podman:
        source = images(podman, CHAIN)
        made = await source.get(("left", AMD64))
        await source.get(("right", AMD64))
        source.forget(("left", AMD64), made)
        source.forget(("left", AMD64), made)
        await source.get(("left", AMD64))
        await source.get(("right", AMD64))

    names = [asked.split()[0] for asked in builders.asked]
    assert names == ["base", "left", "right", "base", "left"]


async def test_what_is_here_takes_no_look_at_the_machine(builders: Builders) -> None:
    store = ImageStore()
    recipe = recipe_for("packages", PACKAGES, ARM64)
    store.add(recipe.reference, "arm64", labels={"barasync.key": recipe.key})
    store.add(BASE, "arm64")
    declared = {**CHAIN, "packages": ImageTable(bootstrap=PACKAGES)}
    async with store.client() as podman:
        source = images(podman, declared, able=False)
        for name in ("packages", "left"):
            await source.get((name, ARM64))

    assert [asked.split()[0] for asked in builders.asked] == ["base", "left"]


@pytest.mark.parametrize("name", ["reference", "packages"])
async def test_nothing_is_fetched_where_nothing_can_be_made(name: str) -> None:
    store = ImageStore()
    declared = {
        "packages": ImageTable(bootstrap=PACKAGES),
        "reference": ImageTable(from_=HUB, run=["true"]),
    }
    async with store.client() as podman:
        with pytest.raises(EngineUnavailable, match="this host cannot"):
            await images(podman, declared, able=False).get((name, ARM64))

    assert not [request for request in store.requests if request.startswith("POST")]


async def test_what_is_wrong_with_a_reference_is_said_with_the_image_that_begins_with_it(
    builders: Builders,
) -> None:
    declared = {"base": ImageTable(from_=BASE, run=["x"]), "top": ImageTable(from_="base")}
    async with ImageStore().client() as podman:
        with pytest.raises(ImageError, match=r"^images\.base\.from: there is no image") as caught:
            await images(podman, declared).get(("top", AMD64))

    assert str(caught.value).count("from:") == 1
    assert builders.asked == []


async def test_what_cannot_be_copied_is_said_before_anything_of_the_chain_is_made(
    builders: Builders, tmp_path: Path
) -> None:
    (tmp_path / "out").symlink_to("/etc/passwd")
    store = ImageStore()
    declared = {
        "base": ImageTable(from_=HUB, run=["make it, for hours"]),
        "top": ImageTable(from_="base", copy=["out:/out"]),
    }
    async with store.client() as podman:
        with pytest.raises(
            ConfigError, match=r"images\.top: copy out leads out of the project: out is a link"
        ):
            await images(podman, declared, project=tmp_path).get(("top", AMD64))

    assert (store.requests, builders.asked) == ([], [])


async def test_steps_may_take_as_long_as_their_own_image_says(builders: Builders) -> None:
    store = ImageStore()
    store.add(BASE, "amd64")
    declared = {
        "base": ImageTable(from_=BASE, run=["one"], timeout=60),
        "usual": ImageTable(from_="base", run=["two"]),
        "top": ImageTable(from_="usual", run=["three"], timeout=0),
    }
    async with store.client() as podman:
        await images(podman, declared).get(("top", AMD64))

    assert builders.limits == {"base": 60, "usual": 6 * 3600, "top": None}


async def test_an_image_without_a_step_is_what_it_begins_with(builders: Builders) -> None:
    store = ImageStore()
    image = store.add(BASE, "amd64")
    async with store.client() as podman:
        made = await images(podman, {"same": ImageTable(from_=BASE)}).get(("same", AMD64))

    assert (made, builders.asked) == (image.id, [])


async def test_what_is_only_looked_for_is_found_as_declared_or_not_and_nothing_is_made() -> None:
    store = ImageStore()
    recipe = recipe_for("packages", PACKAGES, ARM64)
    made = store.add(recipe.reference, "arm64", labels={"barasync.key": recipe.key})
    other = recipe_for("changed", PACKAGES, ARM64)
    store.add(other.reference, "arm64", labels={"barasync.key": other.key})
    base = store.add(BASE, "arm64")
    declared = {
        "packages": ImageTable(bootstrap=PACKAGES),
        "changed": ImageTable(bootstrap=BootstrapTable(suite="trixie", packages=["gcc"])),
        "reference": ImageTable(from_=BASE),
        "top": ImageTable(from_="packages"),
        "far": ImageTable(from_=HUB),
        "run": ImageTable(from_=BASE, run=["true"]),
    }
    held: list[str] = []

    async with store.client() as podman:
        source = images(podman, declared, held, able=False)
        found = {name: await source.find((name, ARM64)) for name in declared}
        elsewhere = await source.find(("reference", AMD64))

    expected = {"packages": made.id, "top": made.id, "reference": base.id}
    assert {name: image for name, image in found.items() if image is not None} == expected
    assert elsewhere is None
    assert set(held) == set(expected.values())
    assert {request.split()[0] for request in store.requests} == {"GET"}


def test_emulators_are_needed_where_a_step_executes_something() -> None:
    declared = {
        "copies": ImageTable(from_=BASE, copy=["a:/b"], env={"A": "b"}, project=True),
        "made": ImageTable(bootstrap=PACKAGES),
        "runs": ImageTable(from_="made", run=["true"]),
        "on-top": ImageTable(from_="runs", user="nobody"),
        "installs": ImageTable(from_=BASE, packages=["make"]),
        "file": ImageTable(containerfile="Containerfile"),
    }

    assert {name for name in declared if executes(name, declared)} == {
        "runs",
        "on-top",
        "installs",
        "file",
    }
