"""Podman dies in the middle of a run and comes back: nothing is lost, doubled or left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rig import leftovers, libpod, services
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_errors_until, read_until
from tests.rig.services import Installation, RigService
from tests.rig.waiting import wait_until

NATIVE = native_architecture()
CELLS = 8
LINES = 300
MANY_CPUS = ("--cpus-total", str(CELLS))
SLOWLY = f"""
i=0
echo ready
while [ $i -lt {LINES} ]; do
    echo "line $i"
    echo "error $i" >&2
    sleep 0.02
    i=$((i + 1))
done
exit 7
"""


@pytest.fixture
def mortal(installation: Installation) -> Iterator[RigService]:
    """A service of its own, which may be killed."""
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=True)
        service = services.start(installation, environ, directory)
        yield service
        services.stop(service)


def project(service: RigService, directory: Path, script: str) -> Barasync:
    directory.mkdir()
    (directory / "script.sh").write_text(script)
    barasync = Barasync(directory, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    configs = ", ".join(f'"{number}"' for number in range(CELLS))
    barasync.configure(
        f"""
        [defaults]
        image = "{service.busybox(NATIVE)}"
        command = ["sh", "script.sh"]
        [matrix]
        config = [{configs}]
        """
    )
    return barasync


def kill_podman(service: RigService) -> None:
    """Kill the process that serves now; its guard starts another one."""
    (pid,) = (
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if serves(process, os.fsencode(service.directory))
    )
    os.kill(pid, signal.SIGKILL)


def serves(process: Path, directory: bytes) -> bool:
    with suppress(OSError):
        words = (process / "cmdline").read_bytes().split(b"\0")
        named = Path(os.fsdecode(words[0])).name == "podman" and b"service" in words
        return named and directory in (process / "environ").read_bytes()
    return False


def assert_all_is_there(barasync: Barasync, said: str) -> None:
    """Every cell of `SLOWLY` has its verdict, and each of its lines once."""
    assert set(barasync.statuses().values()) == {"failed"}, said
    for cell in barasync.result()["cells"]:
        assert cell["exit_code"] == 7
        assert cell["output"]["complete"], said
        assert cell["warnings"] == ["podman broke off the output, which was completed from its log"]
        assert barasync.log(cell["id"], "stdout.log").splitlines() == [
            "ready",
            *(f"line {number}" for number in range(LINES)),
        ]
        assert barasync.log(cell["id"], "stderr.log").splitlines() == [
            f"error {number}" for number in range(LINES)
        ]


@pytest.mark.parametrize(
    ("deaths", "network"), [(1, None), (2, "none")], ids=["once, default network", "twice, without"]
)
def test_cells_outlive_the_podman_that_started_them(
    mortal: RigService, tmp_path: Path, deaths: int, network: str | None
) -> None:
    socket_path, directory = mortal.endpoint.socket_path, mortal.directory
    barasync = replace(project(mortal, tmp_path / "project", SLOWLY), network=network)
    with barasync.running("matrix", "tests", "--jobs", str(CELLS), *MANY_CPUS) as process:
        read_until(process, "| ready", CELLS)
        kill_podman(mortal)
        if deaths > 1:
            # What came after the first death is followed, in the middle of which is the second.
            read_until(process, f"| line {LINES // 2}\n", CELLS)
            kill_podman(mortal)
        out, err = process.communicate(timeout=45)

    said = (out + err).decode()
    assert process.returncode == 1, said
    assert_all_is_there(barasync, said)
    assert leftovers.settled(lambda: leftovers.of_runs(socket_path, directory)) == []


@pytest.mark.whole_host
def test_cells_outlive_a_podman_whose_socket_another_one_replaces(
    mortal: RigService, installation: Installation, tmp_path: Path
) -> None:
    link, fresh = tmp_path / "podman.sock", tmp_path / "fresh.sock"
    link.symlink_to(mortal.endpoint.socket_path)
    barasync = replace(project(mortal, tmp_path / "project", SLOWLY), url=f"unix://{link}")
    with barasync.running("matrix", "tests", "--jobs", str(CELLS), *MANY_CPUS) as process:
        read_until(process, "| ready", CELLS)
        mortal.holder.kill()
        kill_podman(mortal)
        services.stop(mortal)
        other = services.start(installation, mortal.environ, mortal.directory)
        try:
            fresh.symlink_to(other.endpoint.socket_path)
            fresh.replace(link)
            out, err = process.communicate(timeout=45)
            left = libpod.containers(other.endpoint.socket_path)
        finally:
            services.stop(other)

    said = (out + err).decode()
    assert process.returncode == 1, said
    assert_all_is_there(barasync, said)
    assert left == {}


def test_an_executed_command_is_waited_for_when_podman_has_broken_off_its_output(
    mortal: RigService, tmp_path: Path
) -> None:
    """Podman 4 does not see its end any more, which is said when it has forgotten the session."""
    barasync = Barasync(tmp_path, mortal.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    image = mortal.busybox(NATIVE)
    name = barasync("run", "--detach", image, "--", "sh", "-c", "exec sleep 1000").out.strip()
    script = "echo begun; until test -e /go; do sleep 0.1; done; exit 7"

    with barasync.running("container", "exec", name, "--", "sh", "-c", script) as process:
        read_until(process, "begun", 1)
        # Before podman has noted that it runs, a podman that is killed takes it for one that has
        # not begun.
        wait_until(
            lambda: any(
                each["Running"] for each in libpod.exec_sessions(mortal.endpoint.socket_path, name)
            ),
            "podman has noted that it runs",
        )
        kill_podman(mortal)
        read_errors_until(process, f"goes on in {name}, and its exit code is waited for")
        assert barasync("container", "exec", name, "--", "touch", "/go").code == 0
        if mortal.version.startswith("4."):
            process.terminate()
        code = process.wait(60)
    removed = barasync("container", "remove", "--force", name)
    # Its cgroup outlives it.
    cleaned = barasync("clean")

    assert code == (143 if mortal.version.startswith("4.") else 7)
    assert (removed.code, cleaned.code) == (0, 0), removed.err + cleaned.err


def test_a_container_is_waited_for_when_podman_has_broken_off_its_output(
    mortal: RigService, tmp_path: Path
) -> None:
    barasync = Barasync(tmp_path, mortal.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    image = mortal.busybox(NATIVE)
    script = "until test -e /go; do echo tick; sleep 0.1; done; exit 7"
    name = barasync("run", "--detach", image, "--", "sh", "-c", script).out.strip()

    with barasync.running("container", "attach", name) as process:
        read_until(process, "tick", 1)
        kill_podman(mortal)
        again = f"`barasync container attach {name}` gets back in"
        read_errors_until(process, f"{name} goes on, and its end is waited for; {again}")
        assert barasync("container", "exec", name, "--", "touch", "/go").code == 0
        code = process.wait(60)
    removed = barasync("container", "remove", "--force", name)
    # Its cgroup outlives it.
    cleaned = barasync("clean")

    assert code == 7
    assert (removed.code, cleaned.code) == (0, 0), removed.err + cleaned.err
