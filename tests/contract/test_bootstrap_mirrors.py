"""Where the packages of images come from: a real apt, and mirrors on the loopback interface."""

from __future__ import annotations

import socket
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace

from barasync.aiopodman import Podman
from barasync.config.schema import BootstrapTable
from barasync.errors import ImageError
from barasync.images.bootstrap import bootstrap
from barasync.images.emulation import Host
from barasync.matrix.platforms import native
from tests.rig.repository import SUITE, Package, Repository, repository

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_image_stays")]

OWN = native(Host.current().machine)
NAME = "barasync-test-mirrors"
DATE = "20200101T000000Z"
SECONDS_OF_DATE = 1577836800

TOOL = Package(name="tool", path="usr/bin/tool", content=b"a tool\n", component="extra")


@pytest.fixture
def served() -> Iterator[Repository]:
    with repository(TOOL) as archive:
        yield archive


@pytest.fixture
def expired() -> Iterator[Repository]:
    with repository(expired=True) as archive:
        yield archive


def table(archive: Repository) -> BootstrapTable:
    return BootstrapTable(
        suite=SUITE,
        mirrors=[archive.url],
        signed_by=str(archive.keyring),
    )


async def made(podman: Podman, spec: BootstrapTable, cache: Path, *, refresh: bool = False) -> Path:
    """Make the image; return the archive of its root file system."""
    await bootstrap(
        podman,
        name=NAME,
        spec=spec,
        platform=OWN,
        cache_dir=cache,
        on_progress=[].append,
        refresh=refresh,
        back_off=(0,),
    )
    return _archive(cache)


async def test_packages_come_from_the_mirror_and_the_components_that_are_named(
    podman: Podman, served: Repository, tmp_path: Path
) -> None:
    spec = replace(table(served), components=["main", "extra"], packages=["tool"])

    with tarfile.open(await made(podman, spec, tmp_path)) as archive:
        tool = archive.extractfile("./usr/bin/tool")
        assert tool is not None
        assert tool.read() == TOOL.content

    with pytest.raises(ImageError, match="Unable to locate package tool"):
        await made(podman, replace(table(served), packages=["tool"]), tmp_path / "other")


async def test_packages_that_another_key_signed_are_refused(
    podman: Podman, served: Repository, expired: Repository, tmp_path: Path
) -> None:
    spec = replace(table(served), signed_by=str(expired.keyring))

    with pytest.raises(ImageError, match="the key that the packages are signed with") as caught:
        await made(podman, spec, tmp_path)

    assert caught.value.hint is not None
    assert str(expired.keyring) in caught.value.hint


async def test_an_expired_index_is_taken_only_when_that_is_told(
    podman: Podman, expired: Repository, tmp_path: Path
) -> None:
    with pytest.raises(ImageError, match="the index of packages is expired") as caught:
        await made(podman, table(expired), tmp_path)

    assert caught.value.hint is not None
    assert "allow_expired = true" in caught.value.hint
    await made(podman, replace(table(expired), allow_expired=True), tmp_path)


async def test_an_image_of_a_snapshot_is_the_same_byte_by_byte_when_it_is_made_again(
    podman: Podman, expired: Repository, tmp_path: Path
) -> None:
    """The index is expired, as those of snapshots are."""
    mirrors = [f"{expired.url}/{{snapshot}}"]
    spec = replace(table(expired), mirrors=mirrors, snapshot=DATE)

    first = sha256((await made(podman, spec, tmp_path)).read_bytes()).hexdigest()
    expired.asked.clear()
    again = await made(podman, spec, tmp_path, refresh=True)

    assert sha256(again.read_bytes()).hexdigest() == first
    assert all(path.startswith(f"/{DATE}/") for path in expired.asked)
    assert len(expired.asked) > 2
    with tarfile.open(again) as archive:
        assert max(member.mtime for member in archive) <= SECONDS_OF_DATE


async def test_a_mirror_out_of_reach_is_an_error_in_words(podman: Podman, tmp_path: Path) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        spec = BootstrapTable(suite=SUITE, mirrors=[f"http://127.0.0.1:{port}/debian"])
        with pytest.raises(ImageError, match="the packages could not be downloaded") as caught:
            await made(podman, spec, tmp_path)

    assert f"127.0.0.1:{port}" in str(caught.value)
    assert caught.value.exit_code == 5
    assert caught.value.hint is not None
    assert f"images.{NAME}.bootstrap.mirrors" in caught.value.hint


async def test_a_suite_that_the_mirror_has_not_is_an_error_that_names_it(
    podman: Podman, served: Repository, tmp_path: Path
) -> None:
    with pytest.raises(ImageError, match="debian bookworm: the suite does not exist"):
        await made(podman, replace(table(served), suite="bookworm"), tmp_path)


def _archive(cache: Path) -> Path:
    (archive,) = cache.glob("bootstrap/*.tar")
    return archive
