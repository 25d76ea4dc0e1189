"""A run that is stopped, killed, or loses its podman leaves nothing, or what `clean` removes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from tests.rig import leftovers, libpod, services
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until, sleeping_project
from tests.rig.services import Installation, RigService

NATIVE = native_architecture()
CELLS = 4
MONITOR_SECONDS = 38.0
"""Podman 4.3.1 itself waits 20 s for the exit code that a killed monitor cannot leave."""


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    return sleeping_project(service.endpoint.url, busybox, tmp_path / "project")


@pytest.fixture
def under_the_default_network(barasync: Barasync) -> Barasync:
    """The same cells, with nothing that chooses their network: each has rules and names."""
    return replace(barasync, network=None)


@pytest.fixture
def left(service: RigService) -> Callable[[], list[str]]:
    """What there is now of runs, also of their networks, that was not there before the test."""
    socket_path, directory = service.endpoint.socket_path, service.directory
    before = leftovers.of_runs(socket_path, directory)
    return lambda: [
        each for each in leftovers.of_runs(socket_path, directory) if each not in before
    ]


def kinds(found: list[str]) -> set[str]:
    return {each.partition(" ")[0] for each in found}


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    out, err = process.communicate(timeout=40)
    return process.returncode, (out + err).decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_the_run_and_leaves_nothing(
    barasync: Barasync, service: RigService, number: signal.Signals
) -> None:
    with barasync.running("matrix", "tests", "--jobs", str(CELLS)) as process:
        read_until(process, "| ready", CELLS)
        process.send_signal(number)
        code, said = finish(process)

    assert code == 128 + number
    assert "4 cancelled" in said
    assert set(barasync.statuses().values()) == {"cancelled"}
    assert libpod.containers(service.endpoint.socket_path) == {}


def test_ctrl_c_leaves_nothing_of_the_default_network(
    under_the_default_network: Barasync, left: Callable[[], list[str]]
) -> None:
    with under_the_default_network.running("matrix", "tests", "--jobs", str(CELLS)) as process:
        read_until(process, "| ready", CELLS)
        there = kinds(left())
        process.send_signal(signal.SIGINT)
        code, said = finish(process)

    assert there >= {"container", "network", "bridge", "rule", "chain", "namespace", "names"}
    assert code == 130, said
    assert set(under_the_default_network.statuses().values()) == {"cancelled"}
    assert leftovers.settled(left) == []


@pytest.mark.whole_host
def test_clean_removes_all_that_a_killed_run_leaves_of_the_default_network(
    under_the_default_network: Barasync, left: Callable[[], list[str]]
) -> None:
    barasync = under_the_default_network
    with barasync.running("matrix", "tests", "--jobs", str(CELLS)) as process:
        read_until(process, "| ready", CELLS)
        process.kill()
        process.wait()
    there = left()
    ended = barasync("clean")

    network = f"network barasync-{barasync.record().name}-private"
    assert len([each for each in there if each.startswith("container ")]) == CELLS
    assert network in there
    assert ended.code == 0, ended.err
    assert f"{network} " in ended.out
    assert leftovers.settled(left) == []


def test_attempts_and_the_first_failure_leave_nothing_of_the_default_network(
    under_the_default_network: Barasync, left: Callable[[], list[str]], busybox: str
) -> None:
    """One cell passes at its second attempt, then one fails for good, and two are cancelled."""
    barasync = under_the_default_network
    (barasync.directory / "state").mkdir()
    once = "test -e /state/tried || { touch /state/tried; exit 1; }; touch /state/passed"
    fails = "until test -e /state/passed; do sleep 0.1; done; exit 1"
    barasync.configure_script(
        busybox,
        "echo ready; sleep 1000",
        f"""
        volumes = ["./state:/state"]
        [matrix]
        config = ["a", "b", "c", "d"]
        [config.a]
        command = ["sh", "-c", "{once}"]
        [config.b]
        command = ["sh", "-c", "{fails}"]
        """,
    )

    again = ("--retries", "1", "--retry-on", "failed", "--fail-fast")
    ended = barasync("matrix", "tests", "--jobs", str(CELLS), *again)

    cells = [(cell["status"], cell["attempt"]) for cell in barasync.result()["cells"]]
    assert cells == [("passed", 2), ("failed", 2), ("cancelled", 1), ("cancelled", 1)], ended.err
    assert leftovers.settled(left) == []


def test_ctrl_c_ends_the_script_that_has_called_it_and_leaves_nothing(
    barasync: Barasync, service: RigService
) -> None:
    script = '"$@"; echo SECOND; for i in 1 2; do "$@"; done'
    here = replace(barasync, within=("bash", "-c", script, "bash"))

    with here.on_terminal("matrix", "tests", "--output", "stream", "--jobs", "1") as terminal:
        terminal.expect(b"| ready")
        terminal.send(b"\x03")
        assert terminal.wait() == 130

    assert b"SECOND" not in terminal.output
    assert libpod.containers(service.endpoint.socket_path) == {}


def test_a_signal_drops_what_still_waits(barasync: Barasync) -> None:
    with barasync.running("matrix", "tests", "--jobs", "1") as process:
        read_until(process, "| ready", 1)
        process.send_signal(signal.SIGINT)
        code, _ = finish(process)

    assert code == 130
    reasons = [cell["reason"] for cell in barasync.result()["cells"]]
    assert reasons[0] == "the run was interrupted"
    assert reasons[1:] == ["not started: the run was interrupted"] * 3


def test_many_signals_are_not_worse_than_one(barasync: Barasync, service: RigService) -> None:
    with barasync.running("matrix", "tests", "--jobs", str(CELLS)) as process:
        read_until(process, "| ready", CELLS)
        for _ in range(20):
            process.send_signal(signal.SIGINT)
        code, said = finish(process)

    assert code == 130
    assert "Traceback" not in said
    assert libpod.containers(service.endpoint.socket_path) == {}


@pytest.mark.whole_host
def test_podmans_own_timeout_ends_what_a_killed_run_left(
    barasync: Barasync, service: RigService
) -> None:
    socket_path = service.endpoint.socket_path
    with barasync.running("matrix", "tests", "--timeout", "1", "--config", "a") as process:
        read_until(process, "| ready", 1)
        process.kill()
    (left,) = libpod.containers(socket_path)
    code = libpod.request(socket_path, "POST", f"containers/{left}/wait")
    barasync("clean")

    assert int(code) == -1


@pytest.mark.slow
def test_a_cell_whose_monitor_is_killed_is_soon_no_success_and_the_others_go_on(
    barasync: Barasync, service: RigService
) -> None:
    socket_path = service.endpoint.socket_path
    config = (barasync.directory / "barasync.toml").read_text()
    barasync.configure(
        f"""{config}
        [config.b]
        command = ["sh", "-c", "echo ready; sleep 2"]
        """
    )
    with barasync.running("matrix", "tests", "--config", "a,b", "--jobs", "2") as process:
        read_until(process, "| ready", 2)
        (container,) = (
            container
            for container, name in libpod.containers(socket_path).items()
            if name.endswith("-a-1")
        )
        found = libpod.request(socket_path, "GET", f"containers/{container}/json")
        os.kill(int(Path(found["ConmonPidFile"]).read_text()), signal.SIGKILL)
        killed = monotonic()
        code, said = finish(process)
        seconds = monotonic() - killed

    assert code == 1, said
    a, b = barasync.result()["cells"]
    assert a["status"] == "infrastructure_error", said
    assert b["status"] == "passed"
    assert barasync.log(a["id"]) == "ready\n"
    # Not when the cell's own 600 s are over, or those of podman.
    assert seconds < MONITOR_SECONDS
    assert libpod.containers(socket_path) == {}


@pytest.mark.whole_host
def test_a_podman_that_dies_in_the_middle_ends_the_run_with_4_and_keeps_the_logs(
    installation: Installation, tmp_path: Path
) -> None:
    """Two cells run and two wait; what waits half a minute for podman is done once."""
    jobs = 2
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=True)
        service = services.start(installation, environ, directory)
        barasync = sleeping_project(
            service.endpoint.url, service.busybox(NATIVE), tmp_path / "project"
        )
        with barasync.running("matrix", "tests", "--jobs", str(jobs)) as process:
            read_until(process, "| ready", jobs)
            service.holder.kill()
            code, said = finish(process)
        services.stop(service)
        again = services.start(installation, environ, directory)
        cleaned = barasync("clean", url=again.endpoint.url)
        left = libpod.containers(again.endpoint.socket_path)
        services.stop(again)

    assert code == 4, said
    assert "stopped answering in the middle of the run" in said
    assert set(barasync.statuses().values()) <= {"infrastructure_error", "leaked"}
    assert barasync.log(f"{NATIVE}-a") == "ready\n"
    assert barasync.log(f"{NATIVE}-b") == "ready\n"
    assert cleaned.out.count("container ") == jobs, cleaned.out
    assert left == {}
