"""`artifact fetch` into what is here already, of what is in a directory, and in an archive."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from barasync.aiopodman import Container, Podman
from tests.contract.running import created, finish, shell
from tests.rig.command import Barasync, call

pytestmark = pytest.mark.anyio

MAKES = """
    mkdir -p /artifacts/deep && cd /artifacts
    dd if=/dev/urandom of=deep/data bs=1000 count=3000 2>/dev/null
    echo app >"a b"; chmod 755 "a b"; ln -s deep/data link; ln -s /etc/passwd out
    sha256sum deep/data; cd /
    tar cf /x.tar -C /artifacts deep "a b" link
    gzip -c /x.tar >/x.tar.gz; bzip2 -c /x.tar >/x.tar.bz2
    tar czf /far.tar.gz artifacts /etc/passwd
"""


@asynccontextmanager
async def made(podman: Podman, image: str) -> AsyncIterator[tuple[Container, str]]:
    """A container that has made files, and the SHA-256 of one of them."""
    async with created(podman, shell(image, MAKES)) as container:
        ended = await finish(container)
        assert ended.state.state.exit_code == 0, ended.stderr
        yield container, ended.stdout.decode().split()[0]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def listed(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


async def test_what_is_there_is_replaced_whole_and_only_if_that_is_said(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    here = barasync.directory
    (here / "artifacts" / "old").mkdir(parents=True)
    (here / "file").write_text("old")
    async with made(podman, busybox) as (container, data):
        fetch = ("artifact", "fetch", container.id)
        refused = await call(barasync, *fetch, "/artifacts", ".")
        codes = [
            (await call(barasync, *fetch, "--replace", *words)).code
            for words in (
                *(("/artifacts", "."), ("/artifacts", "./"), ("/artifacts/a b", "file")),
                ("/artifacts/a b", "new"),
            )
        ]

    assert refused.code == 2
    assert "artifacts exists already" in refused.err
    assert "say --replace" in refused.err
    assert codes == [0, 0, 0, 0]
    tree = ["artifacts", "artifacts/a b", "artifacts/deep", "artifacts/deep/data", "artifacts/link"]
    assert listed(here) == [*tree, "file", "new"]
    assert digest(here / "artifacts/deep/data") == data
    assert (here / "file").read_text() == (here / "new").read_text() == "app\n"


async def test_what_is_in_a_directory_goes_into_another_one_beside_what_is_there(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    here = barasync.directory
    (here / "D").mkdir()
    (here / "D" / "mine").write_text("stays")
    (here / "to-D").symlink_to("D")
    async with made(podman, busybox) as (container, data):
        fetch = ("artifact", "fetch", container.id)
        first = await call(barasync, *fetch, "/artifacts/.", "to-D/")
        (here / "D" / "deep" / "data").write_text("old")
        refused = await call(barasync, *fetch, "/artifacts/.", "D")
        assert (here / "D" / "deep" / "data").read_text() == "old"
        again = await call(barasync, *fetch, "--replace", "/artifacts/./", "D")
        new = await call(barasync, *fetch, "/artifacts/.", "new/place")
        file = await call(barasync, *fetch, "/artifacts/a b/.", "other")

    assert (first.code, refused.code, again.code, new.code) == (0, 1, 0, 0), first.err + new.err
    assert "left out: artifacts/out: it is a symbolic link to the absolute path" in first.err
    assert "D/a b exists already; --replace would have replaced it" in refused.err
    tree = ["a b", "deep", "deep/data", "link"]
    assert listed(here / "D") == [*tree, "mine"]
    assert listed(here / "new/place") == tree
    assert digest(here / "D/link") == digest(here / "new/place/deep/data") == data
    assert file.code == 1
    assert "is not a directory" in file.err
    assert not (here / "other").exists()


async def test_an_archive_in_the_container_is_unpacked_whatever_compresses_it(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    here = barasync.directory
    async with made(podman, busybox) as (container, data):
        fetch = ("artifact", "fetch", "--unpack")
        ended = {
            kind: await call(barasync, *fetch, container.id, f"/x.tar{kind}", f"at{kind}")
            for kind in ("", ".gz", ".bz2")
        }
        again = await call(barasync, *fetch, container.id, "/x.tar", "at")
        replaced = await call(barasync, *fetch, "--replace", container.id, "/x.tar", "at/")
        none = await call(barasync, *fetch, "--replace", container.id, "/artifacts/a b", "at")
        directory = await call(barasync, *fetch, container.id, "/artifacts", "other")
        missing = await call(barasync, *fetch, container.id, "/y.tar", "other")
        far = await call(barasync, *fetch, container.id, "/far.tar.gz", "far")

    for kind, each in ended.items():
        assert (each.code, each.err) == (0, "")
        assert each.out == f"at{kind}: 2 files, 3000004 B\n"
        assert listed(here / f"at{kind}") == ["a b", "deep", "deep/data", "link"]
        assert digest(here / f"at{kind}/link") == data
        assert (here / f"at{kind}/a b").stat().st_mode & 0o777 == 0o755
    assert (again.code, replaced.code) == (1, 0)
    assert "at/a b exists already" in again.err
    assert (none.code, directory.code, missing.code) == (1, 1, 1)
    assert "the archive of /artifacts/a b is refused: " in none.err
    assert digest(here / "at/deep/data") == data
    assert "/artifacts is a directory, not a tar archive" in directory.err
    assert "/y.tar is not in the container" in missing.err
    assert not (here / "other").exists()
    assert far.code == 0, far.err
    assert digest(here / "far/artifacts/deep/data") == data


async def test_members_that_lead_out_of_an_archive_are_left_out_and_said(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("../x", "/etc/y", "good"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"text"))
    outer = io.BytesIO()
    with tarfile.open(fileobj=outer, mode="w") as tar:
        for name, data in (
            ("bad.tar.xz", lzma.compress(packed.getvalue())),
            ("cut.tar.gz", gzip.compress(packed.getvalue())[:-30]),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

    async def pieces() -> AsyncIterator[bytes]:
        yield outer.getvalue()

    async with created(podman, shell(busybox, "true")) as container:
        await container.put_archive("/packed", pieces())
        fetch = ("artifact", "fetch", "--unpack", container.id)
        bad = await call(barasync, *fetch, "/packed/bad.tar.xz", "deep/D")
        cut = await call(barasync, *fetch, "/packed/cut.tar.gz", "E")

    assert bad.code == 1
    assert "left out: ../x: its path leads upwards" in bad.err
    assert "left out: /etc/y: its path is absolute" in bad.err
    assert "2 files had to be left out" in bad.err
    assert cut.code == 1
    assert "cut off before its end" in cut.err
    assert listed(barasync.directory) == ["deep", "deep/D", "deep/D/good"]


async def test_a_tar_on_stdout_of_what_is_in_a_directory_has_not_its_name(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    here = barasync.directory
    async with made(podman, busybox) as (container, _):
        with (
            (here / "out.tar").open("wb") as file,
            barasync.running(
                "artifact", "fetch", container.id, "/artifacts/.", "-", stdout=file.fileno()
            ) as process,
        ):
            code = process.wait(40)

    assert code == 0
    with tarfile.open(here / "out.tar") as tar:
        names = {name.removeprefix("./") for name in tar.getnames()}
    assert {"a b", "deep/data", "link", "out"} <= names
