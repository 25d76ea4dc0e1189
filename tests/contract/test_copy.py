"""`barasync run --copy`: files of this host in a container before it starts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.aiopodman import Podman
from tests.contract.running import created, shell
from tests.rig.command import Barasync
from tests.rig.services import RigService

TIME = 1_000_000_000
LARGE = 64 << 20


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
    barasync: Barasync, busybox: str
) -> None:
    with (barasync.directory / "large").open("wb") as file:
        file.truncate(LARGE)

    ended = barasync("run", busybox, "--copy", "large:/large", "--", "wc", "-c", "/large")

    assert (ended.code, ended.out) == (0, f"{LARGE} /large\n"), ended.err
    (cell,) = barasync.result()["cells"]
    assert cell["phases"]["copy"] > 0


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

    assert (over.code, below.code) == (125, 125), over.err + below.err
    assert "/archive: " in over.err
    assert "/archive: " in below.err


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


@pytest.mark.anyio
async def test_a_link_of_the_image_on_the_way_is_followed(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = "mkdir /real && ln -s /real /alias"
    async with created(podman, shell(busybox, script)) as container:
        await container.start()
        await container.wait()
        image = await container.commit(repository="localhost/barasync-test-copy", tag="link")
    try:
        words = ("run", image, "--copy", "src:/alias/src", "--", "/real/src/tool")
        ended = await to_thread.run_sync(lambda: barasync(*words))
    finally:
        await podman.images.remove(image, force=True)

    assert (ended.code, ended.out) == (0, "made\n"), ended.err
