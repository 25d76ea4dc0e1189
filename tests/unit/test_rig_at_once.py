"""All tests in several sessions at once: nothing that they print or how they end is lost."""

from __future__ import annotations

import fcntl
import io
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from tests.rig.at_once import Session, run
from tests.rig.turns import turn
from tests.rig.waiting import wait_until

PROJECT = Path(__file__).parents[2]


def shell(name: str, script: str) -> Session:
    return Session(name, ["sh", "-c", script])


def ended(*lanes: Sequence[Session]) -> int:
    return anyio.run(run, lanes)


def test_what_sessions_print_is_whole_and_in_order(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    counted = "echo contract tests: 1.0: 3 passed; echo === 3 passed ==="
    lanes = [shell("a", counted)], [shell("b", "echo first >&2; echo then"), shell("c", "echo c")]

    assert ended(*lanes) == 0

    assert capfdbinary.readouterr().out.decode().splitlines() == [
        "contract tests: 1.0: 3 passed",
        "=== 3 passed ===",
        "first",
        "then",
        "c",
        "contract tests: 1.0: 3 passed",
        "a: exit code 0: 3 passed",
        "b: exit code 0: then",
        "c: exit code 0: c",
    ]


def test_a_lane_that_is_not_shown_tells_that_it_goes_on_and_has_all_in_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    shown: list[bytes] = []

    def show(text: bytes | bytearray) -> None:
        shown.append(bytes(text))
        if b"b, meanwhile: 10%" in text:
            told.touch()

    monkeypatch.setattr("tests.rig.at_once._show", show)
    script = f"echo 10%; until [ -e {told} ]; do sleep 0.02; done; echo 20%"
    log = io.BytesIO()
    lanes = [shell("a", "true")], [Session("b", ["sh", "-c", script], log)]

    assert anyio.run(run, lanes, 0.05) == 0

    assert log.getvalue() == b"10%\n20%\n"
    assert log.getvalue() in shown


def test_lanes_run_beside_each_other_and_a_lane_one_after_another(tmp_path: Path) -> None:
    """Each session waits for what another one does, and the last one finds it done."""
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    until = "until [ -e {} ]; do sleep 0.02; done; touch {}".format
    lanes = (
        [shell("a", f"touch {one}; {until(two, three)}")],
        [shell("b", until(one, two)), shell("c", f"test -e {two}")],
    )

    assert ended(*lanes) == 0
    assert three.exists()


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_session_that_fails_fails_all_and_the_others_go_on(failing: int) -> None:
    sessions = [shell(str(number), f"exit {5 if number == failing else 0}") for number in range(3)]

    assert ended(sessions[:1], sessions[1:]) == 1
    assert [session.code for session in sessions].count(0) == 2


def test_a_session_that_is_killed_fails_all() -> None:
    assert ended([shell("a", "kill -KILL $$")], [shell("b", "true")]) == 1


_TRAPPED = """
import anyio, sys
from tests.rig.at_once import Session, run

clear_up = "trap 'echo cleared up; exit' TERM"
wait = "while :; do sleep 0.02; done"
there = f"{sys.argv[1]}/there"
first = f"{clear_up}; until test -e {there}; do sleep 0.02; done; echo ready; {wait}"
other = f"{clear_up}; touch {there}; {wait}"
lanes = [[Session("a", ["sh", "-c", first])], [Session("b", ["sh", "-c", other])]]
sys.exit(anyio.run(run, lanes))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_sessions_which_clear_up(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", _TRAPPED, str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        assert tests.stdout.readline() == "ready\n"
        tests.send_signal(number)
        rest = tests.stdout.read()

    assert tests.returncode == 2
    assert rest.splitlines() == [
        "cleared up",
        "cleared up",
        "a: was ended: cleared up",
        "b: was ended: cleared up",
    ]


def test_who_wants_the_host_alone_waits_for_others_and_others_wait_for_him(tmp_path: Path) -> None:
    order: list[str] = []

    def enter(name: str, *, alone: bool) -> None:
        with turn(tmp_path, alone=alone, tell=pytest.fail):
            order.append(name)

    with ThreadPoolExecutor() as threads:
        with turn(tmp_path, alone=False, tell=pytest.fail):
            with turn(tmp_path, alone=False, tell=pytest.fail):
                pass
            alone = threads.submit(enter, "alone", alone=True)
            wait_until(lambda: is_locked(tmp_path / "gate.lock"), "one waits for the host alone")
            late = threads.submit(enter, "late", alone=False)
            order.append("first")
        alone.result()
        late.result()

    assert order == ["first", "alone", "late"]


@pytest.mark.parametrize(("name", "how"), [("host.lock", "--shared"), ("gate.lock", "--exclusive")])
def test_whoever_waits_long_tells_for_whom(tmp_path: Path, name: str, how: str) -> None:
    told: list[str] = []
    (tmp_path / name).touch()
    holding = ["flock", "--no-fork", how, str(tmp_path / name), "cat"]

    with subprocess.Popen(holding, stdin=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        wait_until(lambda: is_locked(tmp_path / name), "the lock is held")

        def tell(line: str) -> None:
            told.append(line)
            holder.terminate()

        with turn(tmp_path, alone=True, tell=tell, wait_seconds=0.05):
            pass

    assert told == [f"waiting for process {holder.pid}"]


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
