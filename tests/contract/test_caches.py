"""Caches against real podmans: what outlives a run, and who sees what of whom."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.aiopodman import Podman
from tests.contract.running import created, finish, shell
from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until
from tests.rig.services import RigService

NATIVE = native_architecture()


@pytest.fixture
def socket_path(service: RigService) -> str:
    return service.endpoint.socket_path


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Iterator[Barasync]:
    """A project without caches, and none is left of it."""
    (tmp_path / "project").mkdir()
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    barasync = Barasync(tmp_path / "project", service.endpoint.url, environ)
    yield barasync
    ended = barasync("clean", "--caches")
    assert ended.code == 0, ended.out
    assert caches(service.endpoint.socket_path) == []


def caches(socket_path: str) -> list[str]:
    found = libpod.request(socket_path, "GET", "volumes/json") or []
    return sorted(each["Name"] for each in found if each["Name"].startswith("barasync-cache-"))


def volumes(socket_path: str) -> list[str]:
    found = libpod.request(socket_path, "GET", "volumes/json") or []
    return sorted(each["Name"] for each in found)


def copies(service: RigService) -> set[Path]:
    """Return the directories in podman's storage that hold what containers wrote to overlays."""
    return set(service.directory.glob("graph/overlay-containers/*/userdata/overlay/*"))


def configure(
    barasync: Barasync, image: str, script: str, *caches: str, configs: str = "a"
) -> None:
    names = ", ".join(f'"{name}"' for name in configs.split())
    given = ", ".join(f'"{cache}"' for cache in caches)
    barasync.configure(
        f"""
        [defaults]
        image = "{image}"
        command = ["sh", "-c", '''{script}''']
        caches = [{given}]
        timeout = 40
        [matrix]
        config = [{names}]
        """
    )


def test_what_a_cell_writes_into_its_cache_is_there_in_the_next_run(
    barasync: Barasync, busybox: str
) -> None:
    configure(barasync, busybox, "cat /c/*; echo kept > /c/$BARASYNC_RUN", "things:/c")
    first = barasync("matrix", "tests")
    second = barasync("matrix", "tests")

    assert (first.code, second.code) == (0, 0), second.out + second.err
    assert barasync.log(f"{NATIVE}-a", "stdout.log") == "kept\n"


def test_cells_have_a_locked_cache_one_at_a_time(barasync: Barasync, busybox: str) -> None:
    """The last cell of the plan comes when the others would be inside if nothing kept them out."""
    script = "mkdir /c/inside && until test -e /on/last; do sleep 0.1; done && rmdir /c/inside"
    configure(barasync, busybox, script, "things:/c", configs="a b c d")
    (barasync.directory / "on").mkdir()
    text = (barasync.directory / "barasync.toml").read_text().replace('"d"]', '"d", "last"]')
    last = 'caches = []\ncommand = ["sh", "-c", "sleep 1; touch /on/last"]\n'
    barasync.configure(f"{text}[config.last]\n{last}")
    ended = barasync("matrix", "tests", "--jobs", "5", "--volume", "./on:/on")

    assert ended.code == 0, ended.out + ended.err
    assert len(barasync.statuses()) == 5


def test_cells_of_two_runs_have_a_locked_cache_one_at_a_time(
    barasync: Barasync, busybox: str
) -> None:
    script = "mkdir /c/inside && echo ready && until test -e /on/go; do sleep 0.1; done"
    configure(barasync, busybox, f"{script}; rmdir /c/inside", "things:/c")
    (barasync.directory / "on").mkdir()
    command = ("matrix", "tests", "--volume", "./on:/on")
    with barasync.running(*command, stderr=subprocess.STDOUT) as first:
        read_until(first, "| ready", 1)
        with barasync.running(*command, stderr=subprocess.STDOUT) as second:
            read_until(second, "waits for the cache things: another run uses it", 1)
            (barasync.directory / "on/go").touch()
            out, _ = second.communicate(timeout=40)
        first.communicate(timeout=40)

    assert (first.returncode, second.returncode) == (0, 0), out.decode()


@pytest.mark.whole_host
def test_the_cell_of_a_killed_run_is_gone_before_the_next_one_has_its_cache(
    barasync: Barasync, busybox: str, socket_path: str
) -> None:
    configure(barasync, busybox, "trap '' TERM; echo ready; sleep 1000", "things:/c")
    with barasync.running("matrix", "tests") as killed:
        read_until(killed, "| ready", 1)
        (left,) = libpod.containers(socket_path).values()
        killed.kill()
        killed.wait()
    with barasync.running("matrix", "tests", stderr=subprocess.STDOUT) as second:
        read_until(second, f"removing {left}, left by a dead run", 1)
        read_until(second, "| ready", 1)
        names = set(libpod.containers(socket_path).values())
        second.terminate()
        second.communicate(timeout=40)

    assert len(names - {left}) == len(names) == 1


def test_cells_share_a_copy_on_write_cache_and_disturb_nobody(
    barasync: Barasync, busybox: str
) -> None:
    fill = barasync("run", busybox, "--cache", "things:/c", "--", "sh", "-c", "echo base > /c/base")
    script = (
        "cat /c/base; echo mine > /c/base; mkdir /c/inside && sleep 1 && cat /c/base; rm /c/base"
    )
    configure(barasync, busybox, script, "things:/c:cow", configs="a b c d")
    ended = barasync("matrix", "tests", "--jobs", "4")
    seen = [barasync.log(f"{NATIVE}-{name}", "stdout.log") for name in "abcd"]
    after = barasync("run", busybox, "--cache", "things:/c", "--", "sh", "-c", "ls /c; cat /c/base")

    assert (fill.code, ended.code) == (0, 0), ended.out + ended.err
    assert seen == ["base\nmine\n"] * 4
    assert after.out == "base\nbase\n"


def test_an_artifact_in_a_cache_is_what_the_cell_left_there_or_is_said_to_be_lost(
    barasync: Barasync, busybox: str
) -> None:
    script = "cat /c/*; echo new > /c/file"
    barasync("run", busybox, "--cache", "things:/c", "--", "sh", "-c", "echo old > /c/file")
    wanted = ("run", busybox, "--artifact", "/c/file", "--artifacts-dir", "out")
    shared = barasync(*wanted, "--cache", "things:/c:cow", "--", "sh", "-c", script)
    lost = list(barasync.directory.glob("out/**/file"))
    locked = barasync(*wanted, "--cache", "things:/c", "--", "sh", "-c", script)

    assert (shared.code, shared.out, lost) == (1, "old\n", []), shared.err
    assert "/c/file is on an overlay, gone with the container's process" in shared.err
    assert locked.code == 0, locked.err
    (file,) = barasync.directory.glob("out/**/file")
    assert file.read_text() == "new\n"


def test_a_cell_that_writes_waits_for_those_that_share(barasync: Barasync, busybox: str) -> None:
    configure(
        barasync,
        busybox,
        "ls /c; sleep 0.5; ls /c; echo x > /c/file",
        "things:/c:cow",
        configs="a b c",
    )
    text = (barasync.directory / "barasync.toml").read_text()
    barasync.configure(text + '[config.b]\ncaches = ["things:/c"]\n')
    ended = barasync("matrix", "tests", "--jobs", "3")

    assert ended.code == 0, ended.out + ended.err
    seen = [barasync.log(f"{NATIVE}-{name}", "stdout.log") for name in "ac"]
    assert all(log in {"", "file\nfile\n"} for log in seen), seen


def test_a_cache_begins_with_what_the_image_has_there(barasync: Barasync, busybox: str) -> None:
    for mode in ("lock", "cow"):
        ended = barasync(
            "run", busybox, "--cache", f"{mode}:/etc:{mode}", "--", "cat", "/etc/passwd"
        )
        assert ended.code == 0, ended.err
        assert "root" in ended.out


def test_a_cache_over_files_of_the_project_is_refused_and_one_beside_them_is_not(
    barasync: Barasync, busybox: str, socket_path: str
) -> None:
    (barasync.directory / "src").mkdir()
    (barasync.directory / "src/code").write_text("one")
    configure(barasync, busybox, "cat src/code")
    whole = barasync("matrix", "tests", "--cache", "things:/workspace")
    part = barasync("matrix", "tests", "--cache", "things:/workspace/src")
    beside = barasync("matrix", "tests", "--cache", "things:/workspace/target")
    volume = barasync("matrix", "tests", "--volume", "./src:/workspace/src")

    assert (whole.code, part.code, beside.code, volume.code) == (2, 2, 0, 0), volume.err
    assert "where workspace 'layer' has the project" in whole.err
    assert "a cache at /workspace/src hides the project's src/code" in part.err
    assert "note: a volume at /workspace/src hides the project's src/code" in volume.err
    assert len(caches(socket_path)) == 1


@pytest.mark.parametrize("mode", ["lock", "cow"])
@pytest.mark.parametrize("file", ["/etc/passwd", "/bin/busybox"])
def test_a_cache_in_the_place_of_a_file_of_the_image_is_explained(
    barasync: Barasync, busybox: str, file: str, mode: str
) -> None:
    ended = barasync("run", busybox, "--cache", f"things:{file}:{mode}", "--", "true")

    assert ended.code == 125
    assert "hint: a cache or volume is a directory, and the image has a file at" in ended.err


@pytest.mark.anyio
@pytest.mark.parametrize("destination", ["/c", "/home/of/cells"])
async def test_the_user_of_the_image_may_write_to_a_new_cache_of_either_mode(
    barasync: Barasync, busybox: str, podman: Podman, destination: str
) -> None:
    """One that the image has nothing at, and one that it has an empty directory of the user at."""
    make = f"test {destination} = /c || {{ mkdir -p {destination} && chown 33:44 {destination}; }}"
    async with created(podman, shell(busybox, make)) as container:
        await finish(container)
        reference = "localhost/barasync-test/cache-user:latest"
        await container.commit(
            repository="localhost/barasync-test/cache-user", tag="latest", changes=("USER 33:44",)
        )
    try:
        for mode in ("cow", "lock"):
            words = ("--cache", f"{mode}:{destination}:{mode}", "--", "touch", f"{destination}/x")
            ended = await to_thread.run_sync(barasync, "run", reference, *words)
            assert (ended.code, ended.said) == (0, ""), mode
    finally:
        await podman.images.remove(reference, force=True)


def test_a_place_for_locks_that_cannot_be_is_named_once_with_what_to_do(
    barasync: Barasync, busybox: str
) -> None:
    broken = replace(barasync, environ={**barasync.environ, "XDG_CACHE_HOME": "/dev/null"})
    ended = broken("run", busybox, "--cache", "things:/c", "--", "true")

    assert ended.code == 2
    assert ended.err.count("cache things: no lock in /dev/null/barasync/locks: Not a dir") == 1
    assert "hint: make /dev/null/barasync/locks writable" in ended.err


def test_caches_stay_until_they_are_cleaned_and_no_longer(
    barasync: Barasync, busybox: str, socket_path: str
) -> None:
    barasync("run", busybox, "--cache", "things:/c", "--", "true")
    (name,) = caches(socket_path)
    barasync("clean")
    shown = barasync("clean", "--caches", "--dry-run")
    assert caches(socket_path) == [name]
    cleaned = barasync("clean", "--caches")
    again = barasync("clean", "--caches")

    assert name.startswith(f"barasync-cache-things-{NATIVE}-")
    assert (
        f"cache {name} ({NATIVE}, {busybox}, user {os.getuid()}): would be removed\n" in shown.out
    )
    assert f"cache {name} ({NATIVE}, {busybox}, user {os.getuid()}): removed\n" in cleaned.out
    assert "there are no caches\n" in again.out
    assert (shown.code, cleaned.code, again.code) == (0, 0, 0)


def test_a_cache_in_use_is_kept(barasync: Barasync, busybox: str, socket_path: str) -> None:
    configure(barasync, busybox, "echo ready; sleep 1000", "things:/c")
    with barasync.running("matrix", "tests", stderr=subprocess.STDOUT) as process:
        read_until(process, "| ready", 1)
        cleaned = barasync("clean", "--caches")
        kept = caches(socket_path)
        process.terminate()
        process.communicate(timeout=30)

    assert cleaned.code == 0
    assert len(kept) == 1
    assert f"cache {kept[0]} ({NATIVE}, {busybox}, user {os.getuid()}): kept, in use" in cleaned.out


@pytest.mark.whole_host
def test_a_killed_run_of_many_cells_with_copies_on_write_leaves_nothing_but_the_cache(
    barasync: Barasync, busybox: str, service: RigService
) -> None:
    """Neither a mount of podman's, nor what cells wrote, nor a lock."""
    cells = 12
    socket_path = service.endpoint.socket_path
    fill = "head -c 100000 /dev/zero > /c/base"
    barasync("run", busybox, "--cache", "things:/c", "--", "sh", "-c", fill)
    (cache,) = caches(socket_path)
    before = copies(service)
    names = " ".join(f"c{number}" for number in range(cells))
    script = "trap : TERM; echo mine > /c/base; rm -f /c/x; echo ready; while :; do sleep 1; done"
    configure(barasync, busybox, script, "things:/c:cow", configs=names)
    with barasync.running("matrix", "tests", "--jobs", str(cells)) as process:
        read_until(process, "| ready", cells)
        during = copies(service)
        process.kill()
        process.wait()
    cleaned = barasync("clean")
    after = copies(service)
    seen = barasync(
        "run", busybox, "--cache", "things:/c", "--", "sh", "-c", "ls /c; wc -c /c/base"
    )

    assert cleaned.code == 0, cleaned.out
    assert len(during - before) >= cells
    assert after == before
    assert volumes(socket_path) == [cache]
    assert (seen.code, seen.out) == (0, "base\n100000 /c/base\n"), seen.err
    assert "waits for the cache" not in seen.err
