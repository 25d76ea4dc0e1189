"""Attempts that end early, are made again, or wait for the host, on real podmans."""

from __future__ import annotations

import signal
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until
from tests.rig.services import RigService

NATIVE = native_architecture()
SAYS_BYE = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"


def test_a_cell_that_passes_at_its_second_attempt_is_flaky_and_keeps_both_logs(
    barasync: Barasync, busybox: str
) -> None:
    script = (
        "if test -e /state/seen; then echo again; else touch /state/seen; echo first; exit 3; fi"
    )
    (barasync.directory / "state").mkdir()
    barasync.configure_script(busybox, script, 'volumes = ["./state:/state"]')

    ended = barasync("matrix", "tests", "--retries", "2", "--retry-on", "infra,failed")

    assert ended.code == 0, ended.out + ended.err
    assert "passed, flaky" in ended.out
    assert "failed after" in ended.err
    assert "trying again" in ended.err
    (cell,) = barasync.result()["cells"]
    assert (cell["attempt"], cell["flaky"]) == (2, True)
    assert [(one["attempt"], one["exit_code"]) for one in cell["retried"]] == [(1, 3)]
    assert barasync.log(NATIVE) == "first\n"
    assert barasync.log(f"{NATIVE}/attempt-2") == "again\n"


def test_retries_are_off_unless_asked_for(barasync: Barasync, busybox: str) -> None:
    barasync.configure_script(busybox, "exit 3")

    ended = barasync("matrix", "tests")

    assert ended.code == 1
    assert barasync.result()["cells"][0]["retried"] == []


def test_a_cell_gets_sigterm_and_its_grace_at_its_deadline(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure_script(busybox, SAYS_BYE)

    ended = barasync("matrix", "tests", "--timeout", "1", "--stop-grace", "30")

    assert ended.code == 1
    (cell,) = barasync.result()["cells"]
    assert cell["status"] == "timed_out"
    assert cell["reason"] == "ran longer than 1 s and was ended with SIGTERM"
    assert barasync.log(NATIVE) == "ready\nbye\n"


def test_a_cell_that_ignores_sigterm_is_killed_after_its_grace(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure_script(busybox, "trap '' TERM; echo ready; sleep 1000")

    ended = barasync("matrix", "tests", "--timeout", "0.5", "--stop-grace", "0.5")

    assert ended.code == 1
    assert barasync.result()["cells"][0]["reason"] == "ran longer than 0.5 s and was killed"


def test_an_interrupted_cell_gets_its_grace(
    barasync: Barasync, busybox: str, service: RigService
) -> None:
    barasync.configure_script(busybox, SAYS_BYE, "stop_grace = 30")
    with barasync.running("matrix", "tests") as process:
        read_until(process, "| ready", 1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)

    assert process.returncode == 130
    assert barasync.log(NATIVE) == "ready\nbye\n"
    assert libpod.containers(service.endpoint.socket_path) == {}


def test_the_deadline_of_a_run_ends_what_runs_and_drops_what_waits(
    barasync: Barasync, busybox: str, service: RigService
) -> None:
    barasync.configure_script(busybox, "echo ready; sleep 1000", "[matrix]\nconfig = ['a', 'b']")

    ended = barasync("matrix", "tests", "--jobs", "1", "--deadline", "3")

    assert ended.code == 1, ended.err
    assert barasync.statuses() == {f"{NATIVE}-a": "timed_out", f"{NATIVE}-b": "cancelled"}
    assert "the run's deadline of 3 s was over" in ended.out
    assert libpod.containers(service.endpoint.socket_path) == {}


def test_cells_whose_memory_does_not_fit_together_run_one_after_the_other(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure_script(busybox, "sleep 1", 'memory = "64m"\n[matrix]\nconfig = ["a", "b"]')

    together = barasync("matrix", "tests", "--jobs", "2", "--memory-total", "128m")
    waits = [cell["phases"]["queue"] for cell in barasync.result()["cells"]]
    apart = barasync("matrix", "tests", "--jobs", "2", "--memory-total", "100m")
    queued = [cell["phases"]["queue"] for cell in barasync.result()["cells"]]

    assert together.code == apart.code == 0
    assert max(waits) < 1
    assert max(queued) > 1


def test_the_longest_cell_of_the_last_run_starts_first(barasync: Barasync, busybox: str) -> None:
    script = 'test "$BARASYNC_CONFIG" = slow && sleep 1; true'
    barasync.configure_script(busybox, script, '[matrix]\nconfig = ["quick", "slow"]')

    barasync("matrix", "tests", "--jobs", "1")
    ended = barasync("matrix", "tests", "--jobs", "1")

    started = [line for line in ended.err.splitlines() if line.endswith(": started")]
    assert started == [f"{NATIVE}-slow: started", f"{NATIVE}-quick: started"]


def test_a_host_that_runs_short_of_memory_gets_one_cell_after_the_other(
    barasync: Barasync, busybox: str
) -> None:
    meminfo = barasync.directory / "meminfo"
    meminfo.write_text("MemTotal: 1000000 kB\nMemAvailable: 20480 kB\n")
    covered = f'mount --bind "{meminfo}" /proc/meminfo && exec "$@"'
    names = [f"c{number}" for number in range(4)]
    barasync.configure_script(busybox, "sleep 2", f"[matrix]\nconfig = {names}")

    ended = replace(barasync, within=("unshare", "--mount", "sh", "-c", covered, "sh"))(
        "matrix", "tests", "--jobs", "2"
    )

    assert ended.code == 0, ended.err
    assert "20 MiB of memory are available: no more cells are started" in ended.err
    starts = sorted(cell["phases"]["queue"] for cell in barasync.result()["cells"])
    assert all(after - before > 2 for before, after in pairwise(starts)), starts


@pytest.mark.slow
def test_a_cell_that_closes_its_output_and_goes_on_is_waited_for(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure_script(busybox, "echo one; exec >/dev/null 2>&1; sleep 12; exit 5")

    ended = barasync("matrix", "tests")

    (cell,) = barasync.result()["cells"]
    assert (ended.code, cell["status"], cell["exit_code"]) == (1, "failed", 5)
    assert cell["warnings"] == []
    assert barasync.log(NATIVE) == "one\n"
