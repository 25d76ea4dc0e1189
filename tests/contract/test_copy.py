"""`barasync run --copy`: files of this host in a container before it starts."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.aiopodman import Podman
from tests.contract.running import created, shell
from tests.rig.command import Barasync, read_until
from tests.rig.memory import MEBIBYTE, peak_memory
from tests.rig.services import RigService

TIME = 1_000_000_000
LARGE = 64 << 20
HUGE = 1 << 30
MANY = 20_000
ABOVE_IDLE = 60 * MEBIBYTE
A_SCREEN = 1000


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Barasync:
    directory = tmp_path / "here"
    (directory / "src/deep").mkdir(parents=True)
    (directory / "src/tool").write_text("#!/bin/sh\necho made\n")
    (directory / "src/tool").chmod(0o755)
    (directory / "src/deep/link").symlink_to("../tool")
    for path in (*directory.rglob("*"), directory):
        os.utime(path, (TIME, TIME), follow_symlinks=False)
    return Barasync(directory, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


def test_a_directory_and_a_file_become_what_was_said(barasync: Barasync, busybox: str) -> None:
    script = """
        /opt/new/app/deep/link; /opt/copied/tool
        stat -c '%a %Y %U %n' /opt/new/app /opt/new/app/tool /opt/copied/tool
    """

    ended = barasync(
        *("run", busybox, "--copy", "src:/opt/new/app", "--copy", "src/tool:/opt/copied/"),
        *("--", "sh", "-c", script),
    )

    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        "made",
        "made",
        f"755 {TIME} root /opt/new/app",
        f"755 {TIME} root /opt/new/app/tool",
        f"755 {TIME} root /opt/copied/tool",
    ]


def test_the_copy_is_a_phase_of_its_own_and_nothing_is_left_of_it_here(
    barasync: Barasync, busybox: str, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    barasync = replace(barasync, environ={**barasync.environ, "TMPDIR": str(tmp_path / "tmp")})
    with (barasync.directory / "large").open("wb") as file:
        file.truncate(LARGE)

    ended = barasync("run", busybox, "--copy", "large:/large", "--", "wc", "-c", "/large")

    assert list((tmp_path / "tmp").iterdir()) == []
    assert {path.name for path in barasync.directory.iterdir()} == {".barasync", "large", "src"}
    record = (path for path in barasync.record().rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in record) < LARGE // 100

    assert (ended.code, ended.out) == (0, f"{LARGE} /large\n"), ended.err
    (cell,) = barasync.result()["cells"]
    assert cell["phases"]["copy"] > 0


@pytest.mark.slow
def test_copying_takes_no_memory_for_a_large_file_nor_for_many_files(
    barasync: Barasync, busybox: str
) -> None:
    with (barasync.directory / "huge").open("wb") as file:
        file.truncate(HUGE)
    for number in range(MANY):
        directory = barasync.directory / "many" / str(number // 200)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"file-{number}").write_text("text")

    idle = peak(barasync, busybox, "src:/copied")
    large = peak(barasync, busybox, "huge:/copied")
    many = peak(barasync, busybox, "many:/copied")

    assert idle > 0
    assert large - idle < ABOVE_IDLE, f"{(large - idle) / MEBIBYTE:.1f} MiB"
    assert many - idle < ABOVE_IDLE, f"{(many - idle) / MEBIBYTE:.1f} MiB"


def peak(barasync: Barasync, image: str, copy: str) -> int:
    """Return the most memory that a run has had when its copy is there, in bytes."""
    script = "du -s /copied >/dev/null && echo there; sleep 1000"
    words = ("run", image, "--stop-grace", "0", "--copy", copy, "--", "sh", "-c", script)
    with barasync.running(*words) as process:
        read_until(process, "there", 1)
        found = peak_memory(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    return found


def test_a_directory_that_is_there_keeps_what_it_holds(barasync: Barasync, busybox: str) -> None:
    ended = barasync(
        "run", busybox, "--copy", "src:/bin", "--", "sh", "-c", "test -e /bin/sh && tool"
    )

    assert (ended.code, ended.out) == (0, "made\n"), ended.err


def test_a_file_does_not_take_the_place_of_a_directory_nor_that_of_a_file(
    barasync: Barasync, busybox: str
) -> None:
    over = barasync("run", busybox, "--copy", "src/tool:/bin", "--", "true")
    below = barasync("run", busybox, "--copy", "src:/bin/busybox", "--", "true")
    through = barasync("run", busybox, "--copy", "src:/bin/busybox/x", "--", "true")
    inner = barasync("run", busybox, "--copy", f"{clash(barasync)}:/bin", "--", "true")

    assert (over.code, below.code, through.code, inner.code) == (2, 2, 2, 125), over.err + below.err
    assert "/bin is a directory in the container, and SRC is a file" in over.err
    assert "hint: --copy src/tool:/bin/ puts it there" in over.err
    assert "in the container /bin/busybox is not a directory" in below.err
    through_a_file = "--copy src:/bin/busybox/x: in the container /bin/busybox is not a directory"
    assert through_a_file in through.err
    assert below.err.count("is not a directory") == 1
    assert "mkdir /bin/busybox: file exists" in inner.err
    assert len(inner.err) < A_SCREEN


def clash(barasync: Barasync) -> str:
    """A directory of which one is named as a file of the image's `/bin`."""
    (barasync.directory / "clash/busybox").mkdir(parents=True)
    return "clash"


def test_each_attempt_gets_the_copy(barasync: Barasync, busybox: str) -> None:
    ended = barasync(
        *("run", busybox, "--copy", "src:/opt", "--retries", "1", "--retry-on", "failed"),
        *("--", "sh", "-c", "rm /opt/tool && exit 3"),
    )

    assert ended.code == 3, ended.err
    (cell,) = barasync.result()["cells"]
    assert cell["attempt"] == 2


def test_what_a_mount_would_hide_is_refused_before_anything_runs(
    barasync: Barasync, busybox: str
) -> None:
    (barasync.directory / "cache").mkdir()
    options = ("--volume", "./cache:/data", "--copy", "src:/data/src")

    ended = barasync("run", busybox, *options, "--", "true")

    assert ended.code == 2
    assert "/data/src cannot be copied: something is mounted at /data" in ended.err
    assert list((barasync.directory / "cache").iterdir()) == []


def test_a_copy_that_cannot_be_read_ends_with_2(barasync: Barasync, busybox: str) -> None:
    ended = barasync("run", busybox, "--copy", "nothing:/x", "--", "true")

    assert ended.code == 2
    assert "nothing cannot be read: No such file or directory" in ended.err


@asynccontextmanager
async def changed(podman: Podman, image: str, instruction: str) -> AsyncIterator[str]:
    """An image like another one, but for a Containerfile instruction."""
    async with created(podman, shell(image, "true")) as container:
        made = await container.commit(
            repository="localhost/barasync-test-copy", tag="x", changes=(instruction,)
        )
    try:
        yield made
    finally:
        await podman.images.remove(made, force=True)


@pytest.mark.anyio
async def test_the_files_and_the_directories_above_belong_to_the_user_of_the_image(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = "stat -c %u:%g /srv/new /srv/new/src /srv/new/src/tool; echo x >/srv/new/src/mine"
    async with changed(podman, busybox, "USER 33:44") as image:
        words = ("run", image, "--copy", "src:/srv/new/", "--", "sh", "-c", script)
        ended = await to_thread.run_sync(lambda: barasync(*words))

    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == ["33:44"] * 3


@pytest.mark.anyio
async def test_a_volume_of_the_image_is_no_destination(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with changed(podman, busybox, "VOLUME /data") as image:
        words = ("run", image, "--copy", "src:/data/src", "--", "echo", "ran")
        ended = await to_thread.run_sync(lambda: barasync(*words))

    assert (ended.code, ended.out) == (2, "")
    assert "/data/src cannot be copied: something is mounted at /data" in ended.err


LINKS = """
    mkdir -p /real/deep /tools /vol /bound /hidden
    ln -s /real /alias; ln -s alias /twice; ln -s ../../vol /real/deep/up
    ln -s /vol /data; ln -s /bound/new /dangling; ln -s /hidden/tmp /tmpfs; ln -s /tools/x /file
    ln -s round /circle; ln -s circle /round
"""


@asynccontextmanager
async def linked(podman: Podman, image: str) -> AsyncIterator[str]:
    """An image with links to directories, and to where something is going to be mounted."""
    async with created(podman, shell(image, LINKS)) as container:
        await container.start()
        await container.wait()
        made = await container.commit(repository="localhost/barasync-test-copy", tag="link")
    try:
        yield made
    finally:
        await podman.images.remove(made, force=True)


@pytest.mark.anyio
async def test_links_of_the_image_are_followed_to_directories_and_replaced_by_files(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = "/real/src/tool; /real/tool; /real/deep/tool; test -L /alias && test ! -L /file; /file"
    async with linked(podman, busybox) as image:
        words = (
            *("run", image, "--copy", "src:/twice/src", "--copy", "src:/alias"),
            *("--copy", "src/tool:/alias/deep/", "--copy", "src/tool:/file"),
            *("--", "sh", "-c", script),
        )
        ended = await to_thread.run_sync(lambda: barasync(*words))

    assert (ended.code, ended.out) == (0, "made\n" * 4), ended.err


@pytest.mark.anyio
async def test_what_a_link_leads_to_below_a_mount_is_refused_before_anything_runs(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    """Each destination, and what it becomes; without the check podman says that all is well."""
    (barasync.directory / "bound").mkdir()
    wanted = {
        "/data/src": "/vol/src",
        "/data": "/vol",
        "/twice/deep/up/src": "/vol/src",
        "/dangling/src": "/bound/new/src",
        "/real/inner/src": "/real/inner/src",
    }
    mounts = ("/vol", "/bound", "/alias/inner")
    volumes = [word for at in mounts for word in ("--volume", f"./bound:{at}")]
    async with linked(podman, busybox) as image:
        for destination, becomes in wanted.items():
            words = ("run", image, *volumes, "--copy", f"src:{destination}", "--", "echo", "ran")
            ended = await to_thread.run_sync(lambda words=words: barasync(*words))

            assert (ended.code, ended.out) == (2, ""), destination
            leads = "" if becomes == destination else ", where a link leads,"
            said = f"{becomes}{leads} cannot be copied: something is mounted at /"
            assert said in ended.err
        words = ("run", image, "--copy", "src:/circle/src", "--", "true")
        circle = await to_thread.run_sync(lambda: barasync(*words))

    assert circle.code == 125, circle.err
    assert list((barasync.directory / "bound").iterdir()) == []


@pytest.mark.anyio
async def test_a_link_into_the_workspace_is_refused_where_that_is_an_overlay(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = "ln -s /workspace /here"
    async with created(podman, shell(busybox, script)) as container:
        await container.start()
        await container.wait()
        image = await container.commit(repository="localhost/barasync-test-copy", tag="link")
    try:
        words = ("run", image, "--workspace", "overlay", "--copy", "src:/here/x", "--", "true")
        ended = await to_thread.run_sync(lambda: barasync(*words))
    finally:
        await podman.images.remove(image, force=True)

    assert ended.code == 2, ended.err
    assert "/workspace/x, where a link leads, cannot be copied" in ended.err
