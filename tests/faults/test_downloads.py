"""Archives that break off on their way to a person: said, and nothing of them kept."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from barasync.aiopodman import ContainerSpec, Podman
from tests.fake.faults import EndsAfter, Fault
from tests.fake.service import FakeService
from tests.rig.command import Barasync, call

pytestmark = pytest.mark.anyio

CUT = EndsAfter(3000)
ODD = "line\nfeed"
BROKEN = EndsAfter(3000, cleanly=False)


@pytest.fixture
def barasync(service: FakeService, tmp_path: Path) -> Barasync:
    return Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


@pytest.fixture
async def container(service: FakeService) -> AsyncIterator[str]:
    """A container that never runs, with files of 100,000 bytes and of an odd name."""
    image = service.image("localhost/box")
    async with Podman(service.endpoint) as podman:
        made = await podman.containers.create(ContainerSpec(image=image, command=("true",)))
        await made.put_archive("/data", _archive())
        yield made.id
        await made.remove(force=True, missing_ok=True)


async def _archive() -> AsyncIterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("large")
        info.size = 100_000
        tar.addfile(info, io.BytesIO(bytes(info.size)))
        tar.addfile(tarfile.TarInfo(ODD))
    yield buffer.getvalue()


async def test_without_a_fault_it_comes(barasync: Barasync, container: str) -> None:
    fetched = await call(barasync, "artifact", "fetch", container, "/data", "data")
    exported = await call(barasync, "container", "export", container, "box.tar")

    assert (fetched.code, exported.code) == (0, 0), fetched.err + exported.err
    assert (barasync.directory / "data/large").stat().st_size == 100_000
    assert tarfile.is_tarfile(barasync.directory / "box.tar")


@pytest.mark.parametrize("words", [("/data", "made/deep/data"), ("/data", "-")])
async def test_a_fetch_that_podman_cuts_off_ends_with_1(
    service: FakeService, barasync: Barasync, container: str, words: tuple[str, str]
) -> None:
    service.inject(Fault("archive", CUT))

    fetched = await call(barasync, "artifact", "fetch", container, *words)

    assert fetched.code == 1
    assert "archive of /data" in fetched.err
    assert "cut the archive" in fetched.err or "is not whole" in fetched.err
    assert list(barasync.directory.iterdir()) == []


@pytest.mark.parametrize("words", [("box.tar",), ()], ids=["file", "stdout"])
async def test_an_export_that_podman_cuts_off_ends_with_1(
    service: FakeService, barasync: Barasync, container: str, words: tuple[str, ...]
) -> None:
    service.inject(Fault("export", CUT))

    exported = await call(barasync, "container", "export", container, *words)

    assert exported.code == 1
    assert f"the archive of {container} is not whole" in exported.err
    assert list(barasync.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "shown"), [(os.fsdecode(b"\xff"), r"\xff"), ("new\nline", r"new\nline")]
)
async def test_names_of_any_bytes_are_written_and_printed(
    barasync: Barasync, container: str, name: str, shown: str
) -> None:
    strict = replace(barasync, environ={**barasync.environ, "PYTHONIOENCODING": "utf-8:strict"})
    fetch = ("artifact", "fetch", container, f"/data/{ODD}")

    fetched = await call(strict, *fetch, name)
    again = await call(strict, *fetch, name)
    nothing = await call(strict, "artifact", "fetch", container, f"/{ODD}", "missing")
    exported = await call(strict, "container", "export", container, f"{name}.tar")

    assert (fetched.code, fetched.out) == (0, f"{shown}: 1 files, 0 B\n"), fetched.err
    assert (again.code, again.err.splitlines()[0]) == (2, f"barasync: {shown} exists already")
    assert (nothing.code, nothing.err) == (1, "barasync: /line\\nfeed is not in the container\n")
    assert (exported.code, exported.out) == (0, f"{barasync.directory}/{shown}.tar\n")
    assert {path.name for path in barasync.directory.iterdir()} == {name, f"{name}.tar"}


async def test_a_directory_that_was_there_stays_when_a_fetch_breaks(
    service: FakeService, barasync: Barasync, container: str
) -> None:
    (barasync.directory / "mine").mkdir()
    service.inject(Fault("archive", CUT))

    fetched = await call(barasync, "artifact", "fetch", container, "/data", "mine/new/data")

    assert fetched.code == 1
    assert [path.name for path in barasync.directory.rglob("*")] == ["mine"]


@pytest.mark.parametrize(
    ("source", "destination"), [("/data", "."), ("/data/.", "data"), ("/data/large", "data/")]
)
async def test_what_was_to_be_replaced_stays_when_a_fetch_breaks(
    service: FakeService, barasync: Barasync, container: str, source: str, destination: str
) -> None:
    (barasync.directory / "data").mkdir()
    (barasync.directory / "data/large").write_text("old")
    service.inject(Fault("archive", CUT))

    words = ("artifact", "fetch", "--replace", container, source, destination)
    fetched = await call(barasync, *words)

    assert fetched.code == 1
    assert "cut the archive" in fetched.err
    assert (barasync.directory / "data/large").read_text() == "old"
    assert len(list(barasync.directory.rglob("*"))) == 2


async def test_a_packed_file_that_podman_cuts_off_is_said_to_be_that(
    service: FakeService, barasync: Barasync, container: str
) -> None:
    none = await call(barasync, "artifact", "fetch", "--unpack", container, f"/data/{ODD}", "x")
    service.inject(Fault("archive", CUT))
    fetched = await call(barasync, "artifact", "fetch", "--unpack", container, "/data/large", "x")

    assert (fetched.code, none.code) == (1, 1)
    assert "podman cut the archive of /data/large off" in fetched.err
    assert "is refused: it is empty" in none.err
    assert list(barasync.directory.iterdir()) == []


async def test_what_is_more_than_was_allowed_is_said_in_the_words_of_the_command(
    barasync: Barasync, container: str
) -> None:
    fetch = ("artifact", "fetch", container, "/data", "data")

    large = await call(barasync, *fetch, "--artifacts-size", "3")
    many = await call(barasync, *fetch, "--artifacts-files", "1")

    assert "the files have more than 3 bytes (`--artifacts-size`)" in large.err
    assert "there are more than 1 members (`--artifacts-files`)" in many.err


async def test_a_file_that_is_there_stays_when_the_export_breaks(
    service: FakeService, barasync: Barasync, container: str
) -> None:
    (barasync.directory / "box.tar").write_text("old")
    service.inject(Fault("export", BROKEN))

    exported = await call(barasync, "container", "export", container, "box.tar")

    assert exported.code == 4
    assert "closed the connection before the end of its answer" in exported.err
    assert (barasync.directory / "box.tar").read_text() == "old"
    assert [path.name for path in barasync.directory.iterdir()] == ["box.tar"]
