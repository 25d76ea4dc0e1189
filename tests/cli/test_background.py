"""Mistakes in what is begun in the background, and in waiting for it: no podman is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from barasync.cli.background_entries import begin
from tests.rig.command import Barasync
from tests.rig.waiting import wait_until


@pytest.fixture
def barasync(tmp_path: Path) -> Barasync:
    """The command line in a project, and no podman anywhere."""
    barasync = Barasync(tmp_path, "unix:///nowhere", {**os.environ, "NO_COLOR": "1"})
    barasync.configure('[defaults]\nimage = "debian"\n')
    return barasync


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--background=", "debian", "true"), "--background: the key is empty"),
        (("run", "--background", "k", "--detach", "debian"), "--background"),
        (("run", "--background", "k", "--memory", "x", "debian"), "--memory: 'x' is not a size"),
        (("run", "--background", "k", "--secret", "A=env:NONE", "debian"), "NONE is not set"),
        (("run", "--background", "k", "--snapshot", "A:B:C", "debian"), "--snapshot"),
        (("run", "--background", "k", "--report", "x=y", "debian"), "there is no report 'x'"),
        (("matrix", "--background", "k", "--cpus-total", "0", "r"), "--cpus-total: 0 is not"),
        (("matrix", "--background", "k", "--deadline", "-1", "r"), "--deadline: -1 is not"),
        (("matrix", "--background", "k", "--memory-total", "x", "r"), "--memory-total: "),
        (("matrix", "--background", "k", "--network", "privat", "r"), "did you mean 'private'"),
        (("wait",), "KEY is missing"),
        (("wait", "k"), "nothing was begun in the background with the key 'k'"),
        (("wait", ""), "nothing was begun in the background with the key ''"),
        (
            ("wait", "--waiter=waits", "a%20b"),
            "waits: nothing was begun with these words in ",
        ),
        (("wait", "--timeout", "-1", "k"), "--timeout: -1 is not a number of seconds"),
        (("wait", "--timeout", "nan", "k"), "--timeout: nan is not a number of seconds"),
        (("wait", "--timeout", "inf", "k"), "--timeout: inf is not a number of seconds"),
        (("wait", "k", "l"), "too many arguments"),
    ],
)
def test_mistakes_are_told_before_anything_begins(
    barasync: Barasync, words: tuple[str, ...], message: str
) -> None:
    ended = barasync(*words)

    assert (ended.code, ended.out) == (2, "")
    assert message in " ".join(ended.err.split())
    assert not (barasync.directory / ".barasync").exists()


def test_a_run_that_cannot_begin_has_its_end_like_any_other(barasync: Barasync) -> None:
    begun = barasync("run", "--background", "two words", "debian", "true")
    assert (begun.code, begun.out) == (0, "")
    assert "`barasync wait -- 'two words'` waits for it" in begun.err

    below = barasync.directory / "below"
    below.mkdir()
    ended = Barasync(below, barasync.url, barasync.environ)("wait", "--timeout", "50", "two words")
    assert (ended.code, ended.out) == (4, "")
    assert "/nowhere does not exist" in ended.err
    assert "nothing was begun" in barasync("wait", "two words").err


def test_who_has_words_in_place_of_a_key_is_told_no_key(barasync: Barasync) -> None:
    """What made the key of words, as the functions for bar do, is what waits."""
    entry = begin(barasync.directory, "a%20b")
    assert entry is not None
    words = ("--background=a%20b", "--waiter=waits", "debian", "true")
    again = barasync("run", *words)
    assert again.err == "note: it runs already in the background\n"
    entry.close()
    killed = barasync("wait", "--waiter=waits", "a%20b")
    assert (killed.code, "a%20b" in killed.err) == (1, False)
    assert "what was begun with these words was killed" in killed.err

    begun = barasync("run", *words)
    assert begun.code == 0
    assert "; `waits` with the same words waits for it" in begun.err
    assert barasync("wait", "--timeout", "50", "--waiter=waits", "a%20b").code == 4
    unknown = barasync("wait", "--waiter=waits", "a%20b")
    assert (unknown.code, "a%20b" in unknown.err) == (2, False)


def test_a_caller_that_is_killed_at_any_moment_leaves_what_can_be_waited_for_or_begun(
    barasync: Barasync,
) -> None:
    """Its whole process group is killed while it begins; what it was to run ends with 4 at once."""
    for moment in range(9):
        begin_it = subprocess.Popen(
            [sys.executable, "-m", "barasync", "run", "--background", "k", "debian", "true"],
            cwd=barasync.directory,
            env=barasync._environ(None),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with begin_it, suppress(subprocess.TimeoutExpired):
            try:
                begin_it.wait(0.05 * moment)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(begin_it.pid, signal.SIGKILL)
        # Nothing begun, killed, or ended by itself: and nothing that is waited for in vain.
        assert barasync("wait", "--timeout", "40", "k").code in {1, 2, 4}
        assert barasync("run", "--background", "k", "debian", "true").code == 0
        ended = barasync("wait", "--timeout", "40", "k")
        assert (ended.code, ended.out) == (4, "")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_result_stays_where_a_stream_takes_nothing(barasync: Barasync, stream: str) -> None:
    entry = begin(barasync.directory, "k")
    assert entry is not None
    os.write(entry.stdout, b"out")
    os.write(entry.stderr, b"err")
    entry.end(0)
    entry.close()
    with Path("/dev/full").open("wb") as full:
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full.fileno()}
        ended = subprocess.run(
            [sys.executable, "-m", "barasync", "wait", "k"],
            cwd=barasync.directory,
            stdout=given["stdout"],
            stderr=given["stderr"],
            timeout=50,
            check=False,
        )
    assert ended.returncode == 1
    if stream == "stdout":
        assert b"stdout cannot be written: No space left on device" in ended.stderr

    again = barasync("wait", "k")
    assert (again.code, again.out, again.err) == (0, "out", "err")


def until_it_waits(process: int) -> None:
    """Return once a process waits for a lock of flock(2), as the kernel lists it."""

    def waits() -> bool:
        locks = Path("/proc/locks").read_text().splitlines()
        return any("->" in line and f" {process} " in line for line in locks)

    wait_until(waits, f"process {process} waits for a lock")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_whoever_gives_up_waiting_leaves_it_to_others(
    barasync: Barasync, number: signal.Signals, code: int
) -> None:
    entry = begin(barasync.directory, "k")
    assert entry is not None
    with barasync.running("wait", "k") as process:
        until_it_waits(process.pid)
        process.send_signal(number)
        out, _ = process.communicate(timeout=50)
    assert (process.returncode, out) == (code, b"")
    with barasync.running("wait", "--timeout", "40", "k") as process:
        until_it_waits(process.pid)
        entry.end(6)
        entry.close()
        assert process.wait(50) == 6


def test_the_time_is_up_whoever_has_started_it(barasync: Barasync) -> None:
    """Signals may be blocked or ignored from the start."""
    entry = begin(barasync.directory, "k")
    assert entry is not None
    script = (
        "import os, signal, sys; signal.signal(signal.SIGALRM, signal.SIG_IGN);"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM});"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, "-m", "barasync", "wait", "--timeout", "0.3", "k"],
        cwd=barasync.directory,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    entry.close()
    assert (ended.returncode, ended.stdout) == (124, "")
    assert "'k' still runs after 0.3 s" in ended.stderr


ALARM_COMES_LAST = """
import signal, sys
from barasync.__main__ import main
from barasync.cli import wait

class Late:
    came = False

    def __getattr__(self, name):
        return getattr(signal, name)

    def come(self):
        if signal.getitimer(signal.ITIMER_REAL)[0] and not self.came:
            self.came = True
            signal.raise_signal(signal.SIGALRM)

    def signal(self, number, handler):
        self.come()
        return signal.signal(number, handler)

    def setitimer(self, which, *seconds):
        self.come()
        return signal.setitimer(which, *seconds)

wait.signal = Late()
sys.exit(main())
"""
"""`barasync`, with an alarm just before whatever would keep it from coming."""


@pytest.mark.parametrize(("seconds", "is_had"), [("0.3", False), ("40", True)])
def test_an_alarm_that_comes_when_the_waiting_is_over_is_no_defect(
    barasync: Barasync, seconds: str, *, is_had: bool
) -> None:
    entry = begin(barasync.directory, "k")
    assert entry is not None
    process = subprocess.Popen(
        [sys.executable, "-c", ALARM_COMES_LAST, "wait", "--timeout", seconds, "k"],
        cwd=barasync.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        if is_had:
            until_it_waits(process.pid)
            entry.close()
        _, error = process.communicate(timeout=50)
    if not is_had:
        entry.close()
    assert process.returncode == 124, error
    assert f"'k' still runs after {seconds} s" in error


def test_a_reader_who_leaves_changes_nothing_about_the_code(barasync: Barasync) -> None:
    entry = begin(barasync.directory, "k")
    assert entry is not None
    os.write(entry.stdout, b"line\n" * 100_000)
    entry.end(9)
    entry.close()
    with barasync.running("wait", "k") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(50) == 9
    assert barasync("wait", "k").code == 2


def test_no_event_loop_is_loaded_before_it_is_forked() -> None:
    script = (
        "import sys, barasync.cli.app, barasync.cli.matrix, barasync.cli.run;"
        "print([name for name in ('anyio', 'asyncio', 'httpx2') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout == "[]\n"
