from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from barasync.config.schema import BootstrapTable, BootstrapVariant
from barasync.errors import EngineUnavailable, ImageError
from barasync.images.bootstrap import bootstrap, image, recipe_for
from barasync.images.bootstrap.recipe import Recipe
from barasync.images.emulation import Host
from barasync.matrix.platforms import Platform, parse
from tests.unit.fake_mmdebstrap import (
    BROKEN_INDEX,
    EXPIRED,
    NO_KEY,
    NO_NETWORK,
    NO_PACKAGE,
    FakeMmdebstrap,
    failing,
    install,
)
from tests.unit.image_store import ImageStore, StoredImage

AMD64 = parse("amd64")
ARM64 = parse("arm64")
RISCV64 = parse("riscv64")


def table(suite: str = "trixie", *packages: str) -> BootstrapTable:
    return BootstrapTable(suite=suite, packages=list(packages))


def recipe(platform: Platform = AMD64, *packages: str) -> Recipe:
    return recipe_for("base", table("trixie", *packages), platform)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMmdebstrap:
    return install(tmp_path, monkeypatch)


class Workshop:
    """A podman service, a cache, and what a person was told."""

    def __init__(self, cache: Path) -> None:
        self.store = ImageStore()
        self.cache = cache
        self.progress: list[str] = []

    async def make(
        self,
        platform: Platform = AMD64,
        *packages: str,
        refresh: bool = False,
        back_off: Sequence[float] = (0, 0, 0),
        **settings: object,
    ) -> StoredImage:
        async with self.store.client() as podman:
            image_id = await bootstrap(
                podman,
                name="base",
                spec=replace(table("trixie", *packages), **settings),
                platform=platform,
                cache_dir=self.cache,
                on_progress=self.progress.append,
                refresh=refresh,
                back_off=back_off,
            )
        found = self.store.find(image_id)
        assert found is not None
        return found

    @property
    def archives(self) -> list[str]:
        return sorted(path.name for path in self.cache.glob("**/*") if path.is_file())


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "cache")


@pytest.mark.anyio
async def test_the_image_is_what_mmdebstrap_wrote_under_the_name_of_the_recipe(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves("head -c 3000000 /dev/zero; printf end")

    image = await workshop.make(ARM64, "make")

    made = recipe(ARM64, "make")
    assert image.names == [made.reference]
    assert image.architecture == "arm64"
    assert image.content == bytes(3_000_000) + b"end"
    assert image.labels == {
        "barasync.key": made.key,
        "barasync.kind": "bootstrap",
        "barasync.suite": "trixie",
    }


@pytest.mark.anyio
async def test_an_image_of_the_same_recipe_is_taken_at_once(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves("printf archive")
    first = await workshop.make()

    assert (await workshop.make()).id == first.id
    assert len(fake.calls) == 1


@pytest.mark.anyio
async def test_an_image_of_that_name_with_another_key_is_not_taken(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves("printf archive")
    imposter = workshop.store.add(recipe().reference, "amd64", labels={"barasync.key": "x"})

    assert (await workshop.make()).id != imposter.id


@pytest.mark.anyio
async def test_another_service_gets_the_image_from_the_cache(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves("printf archive")
    await workshop.make()
    workshop.store = ImageStore()

    image = await workshop.make()

    assert image.content == b"archive"
    assert image.labels["barasync.suite"] == "trixie"
    assert len(fake.calls) == 1
    assert "taking the root file system from the cache" in workshop.progress


@pytest.mark.anyio
async def test_refreshing_takes_new_packages_in_spite_of_image_and_cache(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves("printf old", "printf new")
    await workshop.make()

    assert (await workshop.make(refresh=True)).content == b"new"
    workshop.store = ImageStore()
    assert (await workshop.make()).content == b"new"


@pytest.mark.anyio
async def test_the_cache_keeps_the_newest_recipe_of_an_image_only(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves("printf 1", "printf 2", "printf 3")
    await workshop.make(AMD64)
    await workshop.make(ARM64)
    await workshop.make(AMD64, "make")

    kept = [recipe(AMD64, "make"), recipe(ARM64)]
    assert workshop.archives == [f"base-{one.tag}-trixie.tar" for one in kept]


@pytest.mark.anyio
async def test_a_failure_makes_no_image_and_no_archive_and_tells_what_was_said(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves(failing(NO_PACKAGE))

    with pytest.raises(ImageError) as caught:
        await workshop.make(AMD64, "nonesuch")

    assert str(caught.value) == (
        "image 'base' for linux/amd64 could not be made from debian trixie: a package does not "
        f"exist, or cannot be installed with the others\n  {NO_PACKAGE}"
    )
    assert caught.value.hint == (
        "check images.base.bootstrap.packages against the packages of debian trixie for amd64"
    )
    assert workshop.store.images == []
    assert workshop.archives == []
    assert len(fake.calls) == 1


@pytest.mark.anyio
async def test_a_download_that_fails_is_tried_again_from_the_beginning(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves(failing(NO_NETWORK), failing(NO_NETWORK), "printf whole")

    image = await workshop.make()

    assert image.content == b"whole"
    assert len(fake.calls) == 3


@pytest.mark.anyio
async def test_the_tries_are_bounded_and_each_is_announced(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves(failing(NO_NETWORK), failing(NO_NETWORK))

    with pytest.raises(ImageError, match="could not be downloaded"):
        await workshop.make(back_off=(0, 0.001))

    assert len(fake.calls) == 2
    assert workshop.progress == ["the packages could not be downloaded; trying again in 0.001 s"]


@pytest.mark.anyio
async def test_a_young_port_with_a_broken_index_is_made_from_sid_and_it_is_said(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves(failing(BROKEN_INDEX), "printf sid")

    image = await workshop.make(RISCV64)

    assert fake.suites == ["trixie", "sid"]
    assert image.labels["barasync.suite"] == "sid"
    assert any("taking sid instead" in line for line in workshop.progress)


@pytest.mark.anyio
async def test_an_image_made_from_sid_says_so_every_time(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves(failing(BROKEN_INDEX), "printf sid")
    await workshop.make(RISCV64)
    said = "made from sid instead of trixie, whose index was no good"

    workshop.progress.clear()
    await workshop.make(RISCV64)
    assert workshop.progress == [said]

    workshop.store, workshop.progress = ImageStore(), []
    image = await workshop.make(RISCV64)
    assert workshop.progress[0] == said
    assert image.labels["barasync.suite"] == "sid"


@pytest.mark.anyio
async def test_an_expired_index_is_an_error_that_names_the_setting(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves(failing(BROKEN_INDEX), failing(EXPIRED))

    with pytest.raises(ImageError, match="from debian sid: the index of packages is exp") as caught:
        await workshop.make(RISCV64)

    assert fake.suites == ["trixie", "sid"]
    assert caught.value.hint is not None
    assert "images.base.bootstrap.allow_expired = true" in caught.value.hint


@pytest.mark.anyio
async def test_packages_are_not_installed_where_no_emulator_runs_them(
    fake: FakeMmdebstrap, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake.behaves("printf installed")
    bare = Host(machine="x86_64", root=True, binfmt=tmp_path / "none", configuration=())
    monkeypatch.setattr(Host, "current", lambda: bare)

    with pytest.raises(EngineUnavailable, match="this host cannot run linux/riscv64"):
        await workshop.make(RISCV64, variant=BootstrapVariant.APT)
    assert fake.calls == []
    assert (await workshop.make(AMD64, variant=BootstrapVariant.APT)).content == b"installed"


@pytest.mark.anyio
async def test_a_keyring_that_this_host_lacks_is_named_with_its_package(
    fake: FakeMmdebstrap, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake.behaves(failing(NO_KEY))
    (tmp_path / "os-release").write_text("ID=debian\n")
    monkeypatch.setattr(image, "_OS_RELEASE", tmp_path / "os-release")
    monkeypatch.setattr(Recipe, "keyring", tmp_path / "ubuntu-archive-keyring.gpg")

    with pytest.raises(ImageError, match="signed with is missing") as caught:
        await workshop.make(distribution="ubuntu")

    assert caught.value.hint is not None
    assert "ubuntu-archive-keyring.gpg: run `apt-get install ubuntu-archive-keyring`" in (
        caught.value.hint
    )
    assert "images.base.bootstrap.signed_by" in caught.value.hint


@pytest.mark.anyio
async def test_a_mirror_out_of_reach_is_named_in_the_hint(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves(failing(NO_NETWORK))

    with pytest.raises(ImageError, match=r"resolving 'mirror\.example'") as caught:
        await workshop.make(mirrors=["http://mirror.example/debian"], back_off=(0,))

    assert caught.value.exit_code == 5
    assert caught.value.hint is not None
    assert "images.base.bootstrap.mirrors" in caught.value.hint


@pytest.mark.anyio
async def test_a_young_port_with_a_good_index_is_made_from_the_declared_suite(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves("printf trixie")

    assert (await workshop.make(RISCV64)).labels["barasync.suite"] == "trixie"


@pytest.mark.anyio
async def test_a_package_that_does_not_exist_is_no_reason_for_another_suite(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves(failing(NO_PACKAGE))

    with pytest.raises(ImageError, match="from debian trixie"):
        await workshop.make(RISCV64)

    assert fake.suites == ["trixie"]


@pytest.mark.anyio
async def test_a_broken_index_of_an_old_port_is_tried_again_and_then_an_error(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves(*[failing(BROKEN_INDEX)] * 3)

    with pytest.raises(ImageError) as caught:
        await workshop.make(AMD64)

    assert fake.suites == ["trixie"] * 3
    assert caught.value.hint is not None
    assert "try again later" in caught.value.hint


@pytest.mark.anyio
async def test_a_missing_mmdebstrap_is_an_error_with_the_package(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ImageError, match="this host has no mmdebstrap") as caught:
        await workshop.make()

    assert caught.value.hint is not None
    assert "mmdebstrap" in caught.value.hint


@pytest.mark.anyio
async def test_a_cache_that_cannot_be_written_to_is_an_error_with_its_path(
    fake: FakeMmdebstrap, tmp_path: Path
) -> None:
    fake.behaves("printf archive")
    (tmp_path / "file").touch()

    with pytest.raises(ImageError, match=r"the cache directory .*file/bootstrap cannot be"):
        await Workshop(tmp_path / "file").make()


@pytest.mark.anyio
async def test_a_podman_that_is_gone_is_not_a_failed_image(workshop: Workshop) -> None:
    workshop.store.broken = True

    with pytest.raises(EngineUnavailable, match="looking for image 'base' for linux/amd64"):
        await workshop.make()


@pytest.mark.anyio
async def test_cancelling_leaves_no_image_and_no_archive(
    fake: FakeMmdebstrap, workshop: Workshop
) -> None:
    fake.behaves("printf half; echo 'I: creating tarball...' >&2; exec sleep 600")

    with anyio.CancelScope() as scope:
        workshop.progress = _Cancelling(scope)
        await workshop.make()

    assert scope.cancelled_caught
    assert workshop.store.images == []
    assert workshop.archives == []


class _Cancelling(list[str]):
    """Cancels a scope as soon as something is told."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        super().__init__()
        self._scope = scope

    def append(self, line: str) -> None:
        super().append(line)
        self._scope.cancel()
