"""The directories of private services: where they are, whose they are, what is removed."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import ServiceError
from barasync.aiopodman.service_place import (
    PREFIX,
    abandoned,
    remove_abandoned,
    service_places,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def runtime(tmp_path: Path) -> dict[str, str]:
    """An environment of a user without root in which both directories are made in a test's own."""
    return {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "TMPDIR": str(tmp_path / "tmp")}


@pytest.fixture(autouse=True)
def directories(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "tmp").mkdir()


async def mode(path: Path) -> int:
    return (await anyio.Path(path).stat()).st_mode & 0o777


async def test_the_directories_are_private_and_removed_with_what_is_in_them(
    tmp_path: Path, runtime: dict[str, str]
) -> None:
    async with service_places(runtime, rootless=True) as places:
        assert places.temporary is not None
        both = (Path(places.socket), Path(places.temporary))
        assert [path.parent for path in both] == [tmp_path / "run", tmp_path / "tmp"]
        assert [await mode(path) for path in both] == [0o700, 0o700]
        await anyio.Path(both[1], "buildah1").mkdir()
    assert not any([await anyio.Path(path).exists() for path in both])


async def test_a_runtime_directory_that_is_too_deep_for_a_socket_is_passed_over(
    tmp_path: Path,
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    environ = {"XDG_RUNTIME_DIR": str(deep), "TMPDIR": str(tmp_path / "tmp")}
    async with service_places(environ, rootless=True) as places:
        assert Path(places.socket).parent == tmp_path / "tmp"


async def test_nowhere_to_put_the_socket_is_an_error_that_says_where_it_looked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*, prefix: str, dir: str) -> str:  # noqa: A002 - the name is tempfile's
        raise PermissionError(13, "Permission denied", f"{dir}/{prefix}")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(ServiceError, match=r"/gone: Permission denied; /tmp: Permission denied"):
        async with service_places({"XDG_RUNTIME_DIR": "/gone"}, rootless=True):
            pytest.fail("there is no place")


async def test_a_user_without_a_runtime_directory_keeps_podmans_temporary_one(
    tmp_path: Path,
) -> None:
    """Podman would look for its own state in another place."""
    async with service_places({"TMPDIR": str(tmp_path / "tmp")}, rootless=True) as places:
        assert places.temporary is None


@pytest.mark.parametrize("configured", ["storage", "DIRECTORY"])
async def test_podmans_configuration_says_where_temporary_files_are(
    tmp_path: Path, runtime: dict[str, str], configured: str
) -> None:
    conf = tmp_path / "containers.conf"
    value = configured.replace("DIRECTORY", str(tmp_path / "tmp"))
    conf.write_text(f'[engine]\nimage_copy_tmp_dir = "{value}"\n')
    del runtime["TMPDIR"]
    async with service_places({**runtime, "CONTAINERS_CONF": str(conf)}, rootless=True) as places:
        found = places.temporary and str(Path(places.temporary).parent)
    assert found == (None if configured == "storage" else value)


def ours(found: tuple[Path, ...], tmp_path: Path) -> list[Path]:
    """Return what of it is the test's: other tests may leave something elsewhere meanwhile."""
    return [path for path in found if path.is_relative_to(tmp_path)]


async def found_by(runtime: dict[str, str], tmp_path: Path) -> list[Path]:
    return ours(await to_thread.run_sync(lambda: abandoned(runtime, rootless=True)), tmp_path)


async def test_the_directories_of_a_live_service_are_not_abandoned(
    tmp_path: Path, runtime: dict[str, str]
) -> None:
    async with service_places(runtime, rootless=True) as places:
        found = await found_by(runtime, tmp_path)
        reason = await remove_abandoned(Path(places.socket))
    assert (found, reason) == ([], "it is in use")


async def test_what_has_no_owner_any_more_is_removed(
    tmp_path: Path, runtime: dict[str, str]
) -> None:
    left = [tmp_path / "run" / f"{PREFIX}1", tmp_path / "tmp" / f"{PREFIX}2"]
    for path in left:
        (path / "below").mkdir(parents=True)
    (tmp_path / "tmp" / "buildah123").mkdir()
    (tmp_path / "tmp" / f"{PREFIX}file").touch()
    (tmp_path / "tmp" / f"{PREFIX}link").symlink_to(tmp_path / "tmp" / "buildah123")

    found = await found_by(runtime, tmp_path)
    reasons = [await remove_abandoned(path) for path in found]

    assert found == left
    assert reasons == [None, None]
    assert sorted(path.name for path in (tmp_path / "tmp").iterdir()) == [
        f"{PREFIX}file",
        f"{PREFIX}link",
        "buildah123",
    ]


async def test_whoever_looks_whose_a_directory_is_keeps_nobody_from_finding_and_removing_it(
    tmp_path: Path, runtime: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tmp" / f"{PREFIX}1"
    path.mkdir()
    looking = os.open(path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    flock = fcntl.flock

    def refused_once(descriptor: int, how: int) -> None:
        try:
            flock(descriptor, how)
        except BlockingIOError:
            flock(looking, fcntl.LOCK_UN)
            raise

    found = await found_by(runtime, tmp_path)
    monkeypatch.setattr("fcntl.flock", refused_once)
    reason = await remove_abandoned(path)
    os.close(looking)

    assert (found, reason) == ([path], None)
    assert not await anyio.Path(path).exists()


def test_what_is_another_users_is_not_ours_to_remove(
    tmp_path: Path, runtime: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp" / f"{PREFIX}1").mkdir()
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert ours(abandoned(runtime, rootless=True), tmp_path) == []


async def test_what_something_is_mounted_in_is_let_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "a place"
    (real / f"{PREFIX}1" / "mnt").mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    table = tmp_path / "mountinfo"
    point = str(real / f"{PREFIX}1" / "mnt").replace(" ", "\\040")
    table.write_text(f"22 1 0:21 / / rw - ext4 x rw\n23 22 0:21 / {point} rw - ext4 x rw\n")
    monkeypatch.setattr("barasync.aiopodman.service_place._MOUNT_TABLE", table)

    reason = await remove_abandoned(tmp_path / "link" / f"{PREFIX}1")

    assert "something is mounted in it" in (reason or "")
    assert (real / f"{PREFIX}1" / "mnt").exists()


@pytest.mark.parametrize("opened_first", [True, False])
async def test_a_directory_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path,
    runtime: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    opened_first: bool,
) -> None:
    made: list[str] = []
    mkdtemp = tempfile.mkdtemp
    opened = os.open

    def note(*, prefix: str, dir: str) -> str:  # noqa: A002 - the name is tempfile's
        made.append(mkdtemp(prefix=prefix, dir=dir))
        return made[-1]

    def swept(path: str, flags: int) -> int:
        if path != made[0]:
            return opened(path, flags)
        if opened_first:
            descriptor = opened(path, flags)
            os.rmdir(path)  # noqa: PTH106 - another process does it
            return descriptor
        os.rmdir(path)  # noqa: PTH106 - likewise
        return opened(path, flags)

    monkeypatch.setattr("tempfile.mkdtemp", note)
    monkeypatch.setattr("os.open", swept)
    async with service_places(runtime, rootless=True) as places:
        assert places.socket == made[1]
        assert await anyio.Path(places.socket).is_dir()
    assert [Path(path).parent for path in made[:2]] == [tmp_path / "run"] * 2
