"""`--background` of `run` and `matrix`, and `wait`, on real podman: who lives on, and who hears."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from barasync.aiopodman import Podman
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, Ended
from tests.rig.services import RigService

NATIVE = native_architecture()
PROCESS = re.compile(r"note: it runs in the background as process (\d+);")
# Pipes with names are a meeting place that nobody has to look at again and again.
MEET = "echo here >/meet/ready; read -r word </meet/go; "


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where a container says that it runs, and is told to go on."""

    directory: Path

    @property
    def volume(self) -> tuple[str, str]:
        return "--volume", f"{self.directory}:/meet"

    def come(self) -> None:
        """Wait until a container is there."""
        assert (self.directory / "ready").read_text() == "here\n"

    def go(self) -> None:
        """Let it go on."""
        (self.directory / "go").write_text("on\n")


@pytest.fixture
def meeting(tmp_path: Path) -> Meeting:
    directory = tmp_path / "meet"
    directory.mkdir()
    for name in ("ready", "go"):
        os.mkfifo(directory / name)
    return Meeting(directory)


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    project = tmp_path / "project"
    project.mkdir()
    environ = {**os.environ, "NO_COLOR": "1"}
    command = Barasync(project, service.endpoint.url, environ, timeout=100)
    command.configure_script(busybox, "true")
    return command


def process_of(ended: Ended) -> int:
    """Return the process that goes on, as a person is told it."""
    assert (ended.code, ended.out) == (0, ""), ended.err
    found = PROCESS.search(ended.err)
    assert found, ended.err
    return int(found[1])


@contextmanager
def surely_ended(process: int) -> Iterator[None]:
    """Leave no process to the next test, whatever becomes of this one."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@contextmanager
def surely_ended_group(leader: subprocess.Popen[bytes]) -> Iterator[None]:
    """Likewise of a process group, where its leader has not been waited for in the block."""
    try:
        yield
    finally:
        # What was waited for may be the ID of somebody else by now.
        if leader.returncode is None:
            os.killpg(leader.pid, signal.SIGKILL)


def entries(barasync: Barasync) -> list[str]:
    return [path.name for path in (barasync.directory / ".barasync/background").glob("*/")]


def until_ended(barasync: Barasync, key: str) -> None:
    """Wait until no process of an entry lives, and take nothing of it."""
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    with (barasync.directory / ".barasync/background" / name / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)


def guard_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_both_streams_and_the_exit_code_are_replayed_once(barasync: Barasync, busybox: str) -> None:
    key = "what / I * want\n-é"
    script = "printf 'a\\0b\\377'; seq 50000; echo oops >&2; exit 7"
    begun = barasync("run", "--background", key, busybox, "--", "sh", "-c", script)
    process_of(begun)

    with barasync.running("wait", key) as waiting:
        out, error = waiting.communicate(timeout=100)
    assert waiting.returncode == 7
    numbers = "".join(f"{number}\n" for number in range(1, 50001)).encode()
    assert out == b"a\0b\xff" + numbers
    assert error.endswith(b"oops\n")

    again = barasync("wait", key)
    assert (again.code, again.out) == (2, "")
    assert "nothing was begun in the background with the key 'what / I * want -é'" in again.err
    assert entries(barasync) == []


def test_it_goes_on_when_the_session_of_its_caller_is_killed(
    barasync: Barasync, busybox: str, meeting: Meeting
) -> None:
    words = (
        "run",
        *meeting.volume,
        "--background=k",
        busybox,
        "--",
        "sh",
        "-c",
        f"{MEET}echo $word",
    )
    # The session is that of the shell, which has it as an ordinary command.
    shell = subprocess.Popen(
        ["sh", "-c", '"$@" 2>&1; exec sleep 1000', "sh", sys.executable, "-m", "barasync", *words],
        cwd=barasync.directory,
        env=barasync._environ(None),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert shell.stdout is not None
    with shell, surely_ended_group(shell):
        found = PROCESS.search(shell.stdout.readline().decode())
        assert found
        process = int(found[1])
        with surely_ended(process):
            meeting.come()
            assert os.getsid(process) not in {shell.pid, os.getsid(0)}
            os.kill(process, signal.SIGHUP)
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
            meeting.go()
            ended = barasync("wait", "k")
            assert (ended.code, ended.out) == (0, "on\n"), ended.err


def test_it_goes_on_when_its_terminal_is_closed(
    barasync: Barasync, busybox: str, meeting: Meeting
) -> None:
    words = ("--background=k", busybox, "--", "sh", "-c", f"{MEET}echo $word")
    with barasync.on_terminal("run", *meeting.volume, *words) as terminal:
        terminal.expect(b"waits for it")
        found = PROCESS.search(terminal.output.decode())
        assert terminal.wait() == 0
    assert found
    with surely_ended(int(found[1])):
        meeting.come()
        meeting.go()
        ended = barasync("wait", "k")
    assert (ended.code, ended.out) == (0, "on\n"), ended.err


def test_nothing_of_the_caller_is_held_while_it_runs(
    barasync: Barasync, busybox: str, meeting: Meeting
) -> None:
    """Readers of its pipes come to their end, and its locks are free."""
    read, write = os.pipe()
    begin = subprocess.Popen(
        [
            *(sys.executable, "-m", "barasync", "run", *meeting.volume, "--background", "k"),
            *(busybox, "--", "sh", "-c", f"{MEET}cat"),
        ],
        cwd=barasync.directory,
        env=barasync._environ(None),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(write,),
    )
    os.close(write)
    out, error = begin.communicate(timeout=100)
    process = process_of(Ended(begin.returncode, out.decode(), error.decode()))
    with surely_ended(process):
        meeting.come()
        assert os.read(read, 1) == b""
        os.close(read)
        assert Path(f"/proc/{process}/fd/0").readlink() == Path("/dev/null")
        meeting.go()
        assert barasync("wait", "k").code == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_caller_without_standard_streams_begins_it_too(
    barasync: Barasync, busybox: str, closed: str
) -> None:
    script = f'"$@" {closed}; echo $?'
    words = ("run", "--background=k", busybox, "--", "sh", "-c", "cat; echo out; echo err >&2")
    done = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "barasync", *words],
        cwd=barasync.directory,
        env=barasync._environ(None),
        stdout=subprocess.PIPE,
        timeout=100,
        check=True,
    )
    assert done.stdout == b"0\n"
    ended = barasync("wait", "k")
    assert (ended.code, ended.out) == (0, "out\n")
    assert ended.said == "err\n"


def test_a_matrix_in_the_background_has_all_that_it_has_before_eyes(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "rule"]
        artifacts = ["made"]
        secrets = ["TOKEN=env:TOKEN"]
        [matrix]
        config = ["a", "b"]
        """
    )
    (barasync.directory / "rule").write_text(
        'echo "$TOKEN"; echo "$BARASYNC_CONFIG" >made; test "$BARASYNC_CONFIG" = a\n'
    )
    barasync = replace(barasync, environ={**barasync.environ, "TOKEN": "t0ken-of-the-test"})
    process_of(barasync("matrix", "--background", "m", "tests"))
    ended = barasync("wait", "m")

    assert ended.code == 1
    assert "1 failed, 1 passed" in ended.out
    assert "***" in ended.out
    assert "t0ken" not in ended.out + ended.err
    assert (barasync.record() / f"artifacts/{NATIVE}-a/made").read_text() == "a\n"
    assert barasync.statuses() == {f"{NATIVE}-a": "passed", f"{NATIVE}-b": "failed"}


def test_of_several_that_begin_one_key_at_the_same_time_one_does(
    barasync: Barasync, busybox: str, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    os.mkfifo(shared / "go")
    script = "mktemp /shared/run-XXXXXX; read -r _ </shared/go"
    words = ("run", "--volume", f"{shared}:/shared", "--background=k", busybox, "--")
    with (
        barasync.running(*words, "sh", "-c", script) as first,
        barasync.running(*words, "sh", "-c", script) as second,
        barasync.running(*words, "sh", "-c", script) as third,
    ):
        said = [each.communicate(timeout=100) for each in (first, second, third)]
    assert [each.returncode for each in (first, second, third)] == [0, 0, 0]
    notes = [error.decode() for _, error in said]
    assert sum("'k' runs already in the background" in note for note in notes) == 2, notes
    assert sum(PROCESS.search(note) is not None for note in notes) == 1, notes
    (shared / "go").write_text("\n")
    assert barasync("wait", "k").code == 0
    assert len(list(shared.glob("run-*"))) == 1


def test_what_is_still_running_is_said_and_its_result_comes_later(
    barasync: Barasync, busybox: str, meeting: Meeting
) -> None:
    begun = barasync(
        *("run", *meeting.volume, "--background=k", busybox, "--", "sh", "-c", f"{MEET}echo $word")
    )
    with surely_ended(process_of(begun)):
        meeting.come()
        for seconds in ("0", "0.2"):
            ended = barasync("wait", "k", "--timeout", seconds)
            assert (ended.code, ended.out) == (124, "")
            assert f"'k' still runs after {seconds} s" in ended.err
        kept = barasync("clean")
        assert "background 'k' (runs): kept, its process lives" in kept.out
        with barasync.running("wait", "k") as one, barasync.running("wait", "k") as other:
            meeting.go()
            outs = [each.communicate(timeout=100)[0] for each in (one, other)]
    codes = [one.returncode, other.returncode]
    # Whoever comes in time has the result, and the other is told.
    assert 0 in codes
    assert set(zip(codes, outs, strict=True)) <= {(0, b"on\n"), (2, b"")}
    assert entries(barasync) == []


def test_it_is_ended_in_order_by_a_signal(
    barasync: Barasync, busybox: str, meeting: Meeting
) -> None:
    begun = barasync(
        *("run", *meeting.volume, "--background=k", busybox, "--", "sh", "-c", f"{MEET}true")
    )
    process = process_of(begun)
    with surely_ended(process):
        meeting.come()
        os.kill(process, signal.SIGTERM)
        assert barasync("wait", "k").code == 143


@pytest.mark.anyio
@pytest.mark.whole_host
@pytest.mark.parametrize("waits", [True, False], ids=["wait", "clean"])
async def test_what_was_killed_is_told_and_cleaned(
    barasync: Barasync,
    busybox: str,
    meeting: Meeting,
    podman: Podman,
    waits: bool,
) -> None:
    script = f"echo begun; {MEET}true"
    begun = barasync("run", *meeting.volume, "--background=k", busybox, "--", "sh", "-c", script)
    process = process_of(begun)
    with surely_ended(process):
        meeting.come()
        os.kill(process, signal.SIGKILL)
        if waits:
            ended = barasync("wait", "k")
            assert ended.code == 1
            assert ended.out in {"", "begun\n"}
            assert "'k' was killed before its end" in ended.err
            assert "`barasync clean`" in ended.err
        else:
            until_ended(barasync, "k")
    run = barasync.record().name
    cleaned = barasync("clean")
    assert f"barasync-{run}-{NATIVE}-1 (run {run}" in cleaned.out
    assert ("background 'k' (killed): removed" in cleaned.out) is not waits
    assert entries(barasync) == []
    assert not await podman.containers.list(labels={"barasync.run": run}, all=True)


def test_a_guard_that_is_killed_takes_only_the_exit_code_along(
    barasync: Barasync, busybox: str, meeting: Meeting
) -> None:
    begun = barasync(
        *("run", *meeting.volume, "--background=k", busybox, "--", "sh", "-c", f"{MEET}echo $word")
    )
    process = process_of(begun)
    with surely_ended(process):
        meeting.come()
        os.kill(guard_of(process), signal.SIGKILL)
        assert barasync("wait", "k", "--timeout", "0").code == 124
        meeting.go()
        ended = barasync("wait", "k")
    assert (ended.code, ended.out) == (1, "on\n")


def test_a_result_that_nobody_has_taken_makes_room_for_a_new_one(
    barasync: Barasync, busybox: str
) -> None:
    words = ("run", "--background=k", busybox, "--", "sh", "-c")
    process_of(barasync(*words, "echo old; exit 3"))
    until_ended(barasync, "k")
    assert "background 'k' (ended): kept for `barasync wait`" in barasync("clean").out
    process_of(barasync(*words, "echo new; exit 5"))
    ended = barasync("wait", "k")
    assert (ended.code, ended.out) == (5, "new\n")


def test_without_root_it_is_the_same(
    rootless_service: RigService, rootless_busybox: str, tmp_path: Path
) -> None:
    environ = {**os.environ, "NO_COLOR": "1"}
    barasync = Barasync(tmp_path, rootless_service.endpoint.url, environ, timeout=100)
    barasync.configure_script(rootless_busybox, 'echo "$BARASYNC_CELL"; exit "$BARASYNC_REPEAT"')
    process_of(barasync("matrix", "--repeat", "2", "--background=k", "tests"))
    ended = barasync("wait", "k")
    assert ended.code == 1
    assert f"{NATIVE}-2 | {NATIVE}-2\n" in ended.out
    assert barasync.statuses() == {f"{NATIVE}-1": "failed", f"{NATIVE}-2": "failed"}
    assert barasync("clean").code == 0
