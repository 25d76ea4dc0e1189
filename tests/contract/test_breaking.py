"""What happens to a run from outside: a full disk, lost containers, another run beside it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until
from tests.rig.services import RigService

NATIVE = native_architecture()
CELLS = 4


def project(service: RigService, image: str, directory: Path) -> Barasync:
    """Return the command line in a project of four cells that run the script `rule`.

    They see the project's directory `shared` at `/shared`.
    """
    directory.mkdir()
    (directory / "shared").mkdir()
    barasync = Barasync(directory, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    barasync.configure(
        f"""
        [defaults]
        image = "{image}"
        command = ["sh", "rule"]
        volumes = ["./shared:/shared"]
        timeout = 600
        [matrix]
        config = ["a", "b", "c", "d"]
        """
    )
    return barasync


@pytest.fixture
def socket_path(service: RigService) -> str:
    return service.endpoint.socket_path


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    return project(service, busybox, tmp_path / "project")


def rule(barasync: Barasync, script: str) -> None:
    (barasync.directory / "rule").write_text(script)


def containers_of(barasync: Barasync, socket_path: str) -> dict[str, str]:
    """Return the IDs of the containers of a project's newest run, by the configuration."""
    run = barasync.record().name
    return {
        name.removesuffix("-1").rpartition("-")[2]: container
        for container, name in libpod.containers(socket_path).items()
        if name.startswith(f"barasync-{run}-")
    }


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """Put a file system of 1 MB at a directory."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_full_disk_ends_no_run_and_is_said(barasync: Barasync, socket_path: str) -> None:
    rule(barasync, "yes $(seq -s . 300) | head -c 2000000; test $BARASYNC_CONFIG != b")
    before = libpod.containers(socket_path)
    with small_disk(barasync.directory / ".barasync"):
        ended = barasync("matrix", "tests", "--jobs", "2", "--output", "quiet")

    assert ended.code == 1, ended.out + ended.err
    assert "1 failed, 3 passed" in ended.out
    for cell in (f"{NATIVE}-{config}" for config in "abcd"):
        assert f"note: {cell}: its output is incomplete" in ended.out
        why = f"the output of {cell} is incomplete on disk: [Errno 28] No space left on device"
        assert why in ended.out
    assert "the record of this run is incomplete: [Errno 28]" in ended.out
    assert "the result could not be written: [Errno 28]" in ended.out
    assert "Traceback" not in ended.err
    assert libpod.containers(socket_path) == before


def test_a_run_that_could_not_be_recorded_is_no_success(barasync: Barasync) -> None:
    rule(barasync, "yes $(seq -s . 300) | head -c 2000000")
    with small_disk(barasync.directory / ".barasync"):
        ended = barasync("matrix", "tests", "--output", "quiet")

    assert "4 passed" in ended.out, ended.out + ended.err
    assert "the result could not be written: [Errno 28]" in ended.out
    assert ended.code == 1


def test_a_container_that_somebody_else_removes_is_no_verdict_on_its_command(
    barasync: Barasync, socket_path: str
) -> None:
    rule(barasync, 'echo ready; test "$BARASYNC_CONFIG" = a && sleep 1000; exit 0')
    with barasync.running("matrix", "tests", "--jobs", str(CELLS)) as process:
        read_until(process, "| ready", CELLS)
        libpod.remove_container(socket_path, containers_of(barasync, socket_path)["a"])
        out, err = process.communicate(timeout=40)

    said = (out + err).decode()
    statuses = barasync.statuses()
    assert process.returncode == 1, said
    assert statuses.pop(f"{NATIVE}-a") == "infrastructure_error", said
    assert set(statuses.values()) == {"passed"}
    assert "its container was removed while it ran, and not by this run" in said
    assert barasync.log(f"{NATIVE}-a") == "ready\n"


@pytest.mark.whole_host
def test_two_runs_on_one_service_complete_side_by_side(
    barasync: Barasync, service: RigService, busybox: str, socket_path: str, tmp_path: Path
) -> None:
    other = project(service, busybox, tmp_path / "other")
    for one in (barasync, other):
        rule(one, "echo $BARASYNC_CELL of $(cat name)")
        (one.directory / "name").write_text(one.directory.name)
        configs = [f"c{number}" for number in range(10)]
        config = (one.directory / "barasync.toml").read_text()
        one.configure(config.replace('["a", "b", "c", "d"]', str(configs)))
    words = ("matrix", "tests", "--jobs", "3")
    with barasync.running(*words) as process, other.running(*words) as beside:
        said = [(*one.communicate(timeout=50), one.wait()) for one in (process, beside)]

    for one, (out, err, code) in zip((barasync, other), said, strict=True):
        assert code == 0, (out + err).decode()
        assert b"10 passed" in out
        assert b"left on this service" not in err
        cells = one.statuses()
        assert len(cells) == 10
        assert {one.log(cell) for cell in cells} == {
            f"{cell} of {one.directory.name}\n" for cell in cells
        }
    assert libpod.containers(socket_path) == {}


def test_interrupting_a_run_leaves_another_alone(
    barasync: Barasync, service: RigService, busybox: str, socket_path: str, tmp_path: Path
) -> None:
    other = project(service, busybox, tmp_path / "other")
    for one in (barasync, other):
        rule(one, "echo ready; until test -e /shared/go; do sleep 0.1; done; echo done")
    words = ("matrix", "tests", "--jobs", str(CELLS))
    with barasync.running(*words) as process, other.running(*words) as beside:
        read_until(process, "| ready", CELLS)
        read_until(beside, "| ready", CELLS)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)
        left = libpod.containers(socket_path)
        theirs = containers_of(other, socket_path)
        (other.directory / "shared" / "go").touch()
        out, err = beside.communicate(timeout=40)

    assert process.returncode == 130
    assert set(barasync.statuses().values()) == {"cancelled"}
    assert len(theirs) == CELLS
    assert set(left) == set(theirs.values())
    assert beside.returncode == 0, (out + err).decode()
    assert {other.log(cell) for cell in other.statuses()} == {"ready\ndone\n"}
    assert libpod.containers(socket_path) == {}
