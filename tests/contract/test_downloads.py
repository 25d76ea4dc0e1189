"""Files out of containers by the command line: `artifact fetch` and `container export`."""

from __future__ import annotations

import io
import os
import signal
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.aiopodman import Container, ContainerSpec, Mount, Podman
from tests.contract.running import created, finish, shell
from tests.rig import libpod
from tests.rig.command import Barasync, call
from tests.rig.services import RigService
from tests.rig.waiting import wait_until

pytestmark = pytest.mark.anyio

FILES = """
    mkdir -p /tmp/out/deep && cd /tmp/out
    echo app >app && chmod 755 app && touch -d @1000000000 app
    ln -s /etc/passwd absolute; ln -s ../app deep/link
"""
LARGE = 8 << 20
SPARSE = 2 << 30


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Barasync:
    directory = tmp_path / "here"
    directory.mkdir()
    return Barasync(directory, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


async def tar(barasync: Barasync, *words: str) -> tuple[int, bytes, str]:
    """Run a command whose stdout is no text."""

    def run() -> tuple[int, bytes, str]:
        with barasync.running(*words) as process:
            out, err = process.communicate(timeout=40)
        return process.returncode, out, err.decode()

    return await to_thread.run_sync(run)


def writes_below(process: int, directory: Path) -> bool:
    """Tell whether a process has a file open in a directory, with or without a name."""
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            if directory in link.readlink().parents:
                return True
    return False


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {member.name: member for member in opened}


@asynccontextmanager
async def ended(podman: Podman, image: str, script: str) -> AsyncIterator[Container]:
    async with created(podman, shell(image, script)) as container:
        await finish(container)
        yield container


async def test_a_directory_arrives_as_it_was_and_what_is_left_out_is_said(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with ended(podman, busybox, FILES) as container:
        fetched = await call(
            barasync, "artifact", "fetch", container.id[:12], "/tmp/out", "new/place"
        )

    place = barasync.directory / "new/place"
    assert (fetched.code, fetched.out) == (0, "new/place: 1 files, 4 B\n"), fetched.err
    left_out = (
        "note: left out: out/absolute: it is a symbolic link to the absolute path /etc/passwd"
    )
    assert fetched.err.splitlines() == [left_out]
    assert (place / "app").stat().st_mtime == 1_000_000_000
    assert (place / "app").stat().st_mode & 0o777 == 0o755
    assert (place / "deep/link").readlink() == Path("../app")
    assert sorted(path.name for path in place.iterdir()) == ["app", "deep"]


async def test_a_directory_takes_what_is_fetched_under_its_own_name_and_nothing_is_overwritten(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with ended(podman, busybox, FILES) as container:
        fetch = ("artifact", "fetch", container.id, "/tmp/out/app")
        codes = [
            (await call(barasync, *fetch, destination)).code
            for destination in (".", "made/", "file", "file", ".")
        ]

        below = await call(barasync, *fetch, "file/x")

    assert codes == [0, 0, 0, 2, 2]
    assert below.code == 2
    assert f"{barasync.directory / 'file'} is not a directory" in below.err
    found = sorted(
        str(path.relative_to(barasync.directory)) for path in barasync.directory.rglob("*")
    )
    assert found == ["app", "file", "made", "made/app"]


async def test_a_place_whose_name_is_not_utf_8_is_spelled(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    strict = {**barasync.environ, "PYTHONIOENCODING": "utf-8:strict"}
    async with ended(podman, busybox, FILES) as container:
        words = ("artifact", "fetch", container.id, "/tmp/out/app", os.fsdecode(b"x\xff"))
        fetched = await call(replace(barasync, environ=strict), *words)

    assert (fetched.code, fetched.err) == (0, "")
    assert fetched.out == "x\\xff: 1 files, 4 B\n"


async def test_a_container_that_runs_is_fetched_from_by_its_name(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = "echo x >/tmp/file; echo ready; sleep 1000"
    spec = ContainerSpec(image=busybox, name="barasync-test-box", command=("sh", "-c", script))
    async with created(podman, spec) as container, container.start_attached() as chunks:
        await anext(chunks)
        fetched = await call(barasync, "artifact", "fetch", "barasync-test-box", "/tmp/file", "x")

    assert fetched.code == 0, fetched.err
    assert (barasync.directory / "x").read_text() == "x\n"


async def test_what_is_neither_file_nor_directory_is_said_to_be_that(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = "mkfifo /tmp/pipe; ln -s pipe /tmp/link; echo ready; sleep 1000"
    spec = shell(busybox, script)
    async with created(podman, spec) as container, container.start_attached() as chunks:
        await anext(chunks)
        fetch = ("artifact", "fetch", container.id)
        said = [
            (await call(barasync, *fetch, path, "made/x")).err
            for path in ("/dev/null", "/tmp/pipe", "/tmp/link")
        ]

    only = "only files, directories and links can be fetched\n"
    assert said == [
        f"barasync: /dev/null is a device; {only}",
        f"barasync: /tmp/pipe is a named pipe; {only}",
        f"barasync: /tmp/link is a named pipe; {only}",
    ]
    assert list(barasync.directory.iterdir()) == []


async def test_what_is_not_there_is_said_with_a_code_and_nothing_is_left(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with ended(podman, busybox, "true") as container:
        missing = await call(barasync, "artifact", "fetch", container.id, "/tmp/nothing", "x")
        nothing = await tar(barasync, "artifact", "fetch", container.id, "/tmp/nothing", "-")
    no_text = await call(barasync, "artifact", "fetch", "box", os.fsdecode(b"/tmp/\xff"), "x")
    nobody = await call(barasync, "artifact", "fetch", "no-such-box", "/tmp", "x")
    nowhere = await call(barasync, "container", "export", "no-such-box", "x.tar")

    assert (missing.code, missing.err) == (1, "barasync: /tmp/nothing is not in the container\n")
    assert nothing == (1, b"", "barasync: /tmp/nothing is not in the container\n")
    assert (no_text.code, nobody.code, nowhere.code) == (2, 2, 2)
    assert r"SRC: '/tmp/\udcff' is not UTF-8" in no_text.err
    assert nobody.err.startswith("barasync: there is no container no-such-box\n")
    assert list(barasync.directory.iterdir()) == []


async def test_a_tar_on_stdout_is_what_podman_sends_with_everything(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with ended(podman, busybox, FILES) as container:
        code, out, err = await tar(barasync, "artifact", "fetch", container.id, "/tmp/out", "-")

    found = members(out)
    assert (code, err) == (0, "")
    assert set(found) == {"out", "out/app", "out/absolute", "out/deep", "out/deep/link"}
    assert found["out/absolute"].linkname == "/etc/passwd"


async def test_more_than_was_allowed_does_not_come(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with ended(podman, busybox, FILES) as container:
        fetch = ("artifact", "fetch", container.id, "/tmp/out", "x")
        large = await call(barasync, *fetch, "--artifacts-size", "3")
        many = await call(barasync, *fetch, "--artifacts-files", "2")

    assert (large.code, many.code) == (1, 1)
    assert "the files have more than 3 bytes" in large.err
    assert "there are more than 2 members" in many.err
    assert list(barasync.directory.iterdir()) == []


async def test_an_export_has_the_files_of_the_container(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    (barasync.directory / "box.tar").write_text("old")
    async with ended(podman, busybox, FILES) as container:
        exported = await call(barasync, "container", "export", container.id, "box.tar")
        code, out, err = await tar(barasync, "container", "export", container.id)

    names = {name.removeprefix("./") for name in members(out)}
    written = members((barasync.directory / "box.tar").read_bytes())
    assert (exported.code, code, err) == (0, 0, ""), exported.err
    assert {"tmp/out/app", "tmp/out/deep/link"} <= names
    assert {name.removeprefix("./") for name in written} == names
    assert [path.name for path in barasync.directory.iterdir()] == ["box.tar"]


async def test_a_container_that_never_ran_is_exported_too(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        exported = await call(barasync, "container", "export", container.id, "box.tar")

    assert exported.code == 0, exported.err
    assert members((barasync.directory / "box.tar").read_bytes())


async def test_a_reader_that_leaves_or_stands_still_holds_nobody(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = f"head -c {LARGE} /dev/zero >/tmp/large"

    def leave() -> tuple[int, bytes]:
        with barasync.running("artifact", "fetch", container.id, "/tmp/large", "-") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(1)
            process.stdout.close()
            return process.wait(20), process.stderr.read()

    def stand_still() -> int:
        with barasync.running("artifact", "fetch", container.id, "/tmp/large", "-") as process:
            assert process.stdout is not None
            process.stdout.read(1)
            process.send_signal(signal.SIGINT)
            return process.wait(20)

    async with ended(podman, busybox, script) as container:
        code, err = await to_thread.run_sync(leave)
        assert (code, err) == (1, b"barasync: nobody read the archive of /tmp/large to its end\n")
        assert await to_thread.run_sync(stand_still) == 130


async def test_an_export_is_given_up_while_podman_packs_and_nothing_is_left_of_it(
    podman: Podman, busybox: str, barasync: Barasync, service: RigService
) -> None:
    script = f"dd if=/dev/zero of=/tmp/sparse bs=1 count=1 seek={SPARSE} 2>/dev/null"

    def interrupted() -> int:
        with barasync.running("container", "export", container.id, "box.tar") as process:
            wait_until(lambda: writes_below(process.pid, barasync.directory), "an export")
            process.send_signal(signal.SIGINT)
            return process.wait(20)

    def is_mounted() -> bool:
        path = "containers/showmounted"
        return container.id in libpod.request(service.endpoint.socket_path, "GET", path)

    async with ended(podman, busybox, script) as container:
        code = await to_thread.run_sync(interrupted)
        await to_thread.run_sync(lambda: wait_until(lambda: not is_mounted(), "an unmount"))

    assert code == 130
    assert list(barasync.directory.iterdir()) == []


async def test_what_is_mounted_is_had_by_its_own_name_or_said_to_be_lost(
    podman: Podman, busybox: str, barasync: Barasync, tmp_path: Path
) -> None:
    (tmp_path / "bind").mkdir()
    (tmp_path / "bind/file").write_text("bound")
    spec = ContainerSpec(
        image=busybox,
        command=("true",),
        mounts=(Mount(str(tmp_path / "bind"), "/data/bind"),),
    )
    async with created(podman, spec) as container:
        await finish(container)
        fetch = ("artifact", "fetch", container.id)
        own = await call(barasync, *fetch, "/data/bind", "own")
        above = await call(barasync, *fetch, "/data", "above")
        lost = await call(barasync, *fetch, "/proc/self", "lost")
        code, _out, err = await tar(barasync, *fetch, "/data", "-")

    assert own.code == 0, own.err
    assert (barasync.directory / "own/file").read_text() == "bound"
    assert above.code == 0
    assert "/data/bind: something is mounted there" in above.err
    assert not (barasync.directory / "above/bind/file").exists()
    assert lost.code == 1
    assert "/proc/self is on a file system of the kernel" in lost.err
    assert code == 0
    assert err.startswith("note: /data/bind: something is mounted there")


async def test_a_link_to_a_volume_gives_what_is_in_it(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = "mkdir -p /c/deep && echo x >/c/deep/f && ln -s /c /target && ln -s /proc /kernel"
    spec = replace(shell(busybox, script), mounts=(Mount("barasync-test-linked", "/c"),))
    try:
        async with created(podman, spec) as container:
            await finish(container)
            whole = await call(barasync, "artifact", "fetch", container.id, "/target", "target")
            deep = await call(barasync, "artifact", "fetch", container.id, "/target/deep", "deep")
            lost = await call(barasync, "artifact", "fetch", container.id, "/kernel", "kernel")
            code, out, err = await tar(barasync, "artifact", "fetch", container.id, "/target", "-")
    finally:
        await podman.volumes.remove("barasync-test-linked")

    assert (whole.code, deep.code, lost.code, code) == (0, 0, 1, 0), (whole, deep, lost, err)
    assert (barasync.directory / "target/deep/f").read_text() == "x\n"
    assert (barasync.directory / "deep/f").read_text() == "x\n"
    assert "/kernel: /proc is on a file system of the kernel" in lost.err
    assert any(name.endswith("deep/f") for name in members(out))
