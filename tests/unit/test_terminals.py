"""A conversation through a real pseudo-terminal, with a container that none stands for."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.rig.pseudo_terminal import PseudoTerminal, on_terminal
from tests.rig.waiting import wait_until

KEYS = b"\x10\x11"


def talking(
    kind: str = "echo", *more: str, terminal: bool = True, **kwargs: Any
) -> AbstractContextManager[PseudoTerminal]:
    words = [sys.executable, "-m", "tests.rig.conversation", kind, *more]
    return on_terminal([*words, "terminal"] if terminal else words, **kwargs)


@pytest.fixture
def tty() -> Iterator[PseudoTerminal]:
    """The terminal of a conversation that has begun."""
    with talking() as terminal:
        terminal.expect(b"ready")
        yield terminal


Act = Callable[[PseudoTerminal], None]


def typing(data: bytes) -> Act:
    return lambda terminal: terminal.send(data)


def signalling(number: signal.Signals) -> Act:
    return lambda terminal: terminal.signal(number)


@pytest.mark.parametrize(
    ("act", "code"),
    [
        pytest.param(typing(b"end"), 5, id="the container's end"),
        pytest.param(typing(KEYS), 0, id="detached"),
        pytest.param(typing(b"break"), 4, id="the connection broke"),
        pytest.param(typing(b"defect"), 70, id="a defect"),
        pytest.param(signalling(signal.SIGINT), 130, id="SIGINT"),
        pytest.param(signalling(signal.SIGTERM), 143, id="SIGTERM"),
        pytest.param(signalling(signal.SIGHUP), 129, id="SIGHUP"),
        pytest.param(signalling(signal.SIGQUIT), 131, id="SIGQUIT"),
    ],
)
def test_the_terminal_is_as_before_after_every_end(act: Act, code: int) -> None:
    with talking() as tty:
        before = tty.attributes()
        tty.expect(b"ready")
        assert tty.is_raw()

        act(tty)

        assert tty.wait() == code
        assert tty.attributes() == before


def test_modes_that_are_not_the_usual_ones_come_back_as_well() -> None:
    words = [sys.executable, "-m", "tests.rig.conversation", "echo", "terminal"]
    script = 'stty -echo -ixon intr ^X min 3; echo "set"; "$@"'
    with on_terminal(["sh", "-c", script, "sh", *words]) as tty:
        tty.expect(b"set")
        before = tty.attributes()
        tty.expect(b"ready")
        assert tty.attributes() != before

        tty.send(KEYS)

        assert tty.wait() == 0
        assert tty.attributes() == before


def test_a_terminal_that_stands_still_does_not_keep_a_signal_from_restoring_it() -> None:
    with talking("flood") as tty:
        before = tty.attributes()
        tty.expect(b"\x00\x01")

        tty.signal(signal.SIGTERM)

        assert tty.wait(reading=False) == 143
        assert tty.attributes() == before


def test_keys_are_bytes_for_the_container(tty: PseudoTerminal) -> None:
    for key in (b"\x03", b"\x04", b"\x1a", b"\x1c", b"\x13", b"\r", b"\xc3\xa9"):
        tty.send(key)
        tty.expect(f"got {key!r}".encode())


def test_what_is_typed_before_the_keys_is_still_sent(tty: PseudoTerminal) -> None:
    tty.send(b"last" + KEYS + b"lost")

    assert tty.wait() == 0
    assert b"<DETACHED>" in tty.output
    assert b"lost" not in tty.output


def test_a_first_key_that_is_none_goes_on_with_the_next(tty: PseudoTerminal) -> None:
    tty.send(b"\x10")
    tty.send(b"x")

    tty.expect(b"got b'\\x10x'")


def test_the_keys_detach_from_a_container_that_takes_nothing() -> None:
    with talking("deaf") as tty:
        tty.expect(b"ready")
        tty.send(b"something")
        tty.expect(b"<sent to>")
        for _ in range(300):
            tty.send(b"k")
        tty.send(KEYS)

        tty.expect(b"<DETACHED>")


def test_the_keys_detach_from_a_container_whose_stdin_is_gone(tty: PseudoTerminal) -> None:
    tty.send(b"deaf")
    tty.send(KEYS)

    tty.expect(b"<DETACHED>")


def test_the_size_is_told_at_first_and_whenever_it_changes() -> None:
    with talking(columns=101, rows=33) as tty:
        tty.expect(b"<size 101 33>")
        tty.resize(90, 20)
        tty.expect(b"<size 90 20>")
        tty.resize(91, 21)
        tty.expect(b"<size 91 21>")


def test_a_size_that_was_refused_is_told_again_once_the_container_prints() -> None:
    with talking("late", columns=101, rows=33) as tty:
        tty.expect(b"<size 101 33>")
        tty.expect(b"<size 101 33>")
        tty.send(b"end")

        assert tty.wait() == 5
        assert tty.output.count(b"<size") == 2


def test_lines_that_are_printed_meanwhile_begin_at_the_beginning() -> None:
    with talking() as tty:
        tty.expect(b"ready")
        tty.send(b"print")
        tty.expect(b"one\r\ntwo\r\n")
        tty.signal(signal.SIGTSTP)
        tty.wait_for("stopped")
        tty.signal(signal.SIGCONT)
        wait_until(tty.is_raw, "it is raw again")
        tty.send(b"print")
        tty.expect(b"one\r\ntwo\r\n")
        tty.send(b"end")
        # The terminal makes two of one again.
        tty.expect(b"over\r\n")

        assert tty.wait() == 5
        assert b"\r\r\n" not in tty.output.partition(b"<ENDED>")[0]


@pytest.mark.parametrize(
    ("typed", "shown"), [(b"prompt", b"$ "), (b"line", b"got b'line'\r\n")], ids=["prompt", "line"]
)
def test_what_is_said_after_the_keys_that_detach_begins_a_line(typed: bytes, shown: bytes) -> None:
    with talking() as tty:
        tty.expect(b"ready")
        # Nothing is told of the size from then on.
        tty.resize(90, 20)
        tty.expect(b"<size 90 20>")
        tty.send(typed)
        tty.expect(shown)
        tty.send(KEYS)

        assert tty.wait() == 0
        assert shown.removesuffix(b"\r\n") + b"\r\nover\r\n<DETACHED>" in tty.output


def test_a_stop_from_outside_gives_the_terminal_back_until_it_goes_on() -> None:
    with talking(columns=101, rows=33) as tty:
        before = tty.attributes()
        tty.expect(b"ready")

        tty.signal(signal.SIGTSTP)
        tty.wait_for("stopped")
        assert tty.attributes() == before

        tty.resize(90, 20)
        tty.signal(signal.SIGCONT)
        tty.expect(b"<size 90 20>")
        wait_until(tty.is_raw, "it is raw again")
        tty.send(b"\x03")
        tty.expect(b"got b'\\x03'")
        tty.signal(signal.SIGTSTP)
        tty.wait_for("stopped")
        tty.signal(signal.SIGCONT)
        tty.send(b"end")
        assert tty.wait() == 5
        assert tty.attributes() == before


def test_modes_that_a_shell_set_while_the_process_was_stopped_are_raw_again(
    tty: PseudoTerminal,
) -> None:
    tty.signal(signal.SIGSTOP)
    tty.wait_for("stopped")
    tty.set_attributes(tty.modes_before)

    tty.signal(signal.SIGCONT)

    wait_until(tty.is_raw, "it is raw again")
    tty.send(b"\x03")
    tty.expect(b"got b'\\x03'")


@contextmanager
def job_of_a_shell() -> Iterator[tuple[PseudoTerminal, int]]:
    """A conversation that somebody started at the prompt of bash, and its process."""
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with on_terminal(shell, environ={**os.environ, "PS1": "prompt> "}) as tty:
        tty.expect(b"prompt> ")
        tty.send(f"{sys.executable} -m tests.rig.conversation echo terminal pid\r".encode())
        tty.expect(b"<pid ")
        pid = int(tty.expect(b">")[:-1])
        tty.expect(b"ready")
        yield tty, pid


def test_a_job_that_a_shell_brings_back_to_the_front_converses_on() -> None:
    with job_of_a_shell() as (tty, pid):
        os.kill(pid, signal.SIGTSTP)
        tty.expect(b"Stopped")
        tty.expect(b"prompt> ")
        tty.resize(90, 20)
        tty.send(b"fg\r")
        tty.expect(b"<size 90 20>")
        wait_until(tty.is_raw, "it is raw again")
        tty.send(b"\x03")
        tty.expect(b"got b'\\x03'")
        tty.send(b"end")
        tty.expect(b"prompt> ")
        tty.send(b"echo code=$?\r")
        tty.expect(b"code=5")


def test_a_job_in_the_background_of_a_shell_ends_when_it_is_killed() -> None:
    with job_of_a_shell() as (tty, pid):
        os.kill(pid, signal.SIGTSTP)
        tty.expect(b"Stopped")
        tty.expect(b"prompt> ")
        modes = tty.attributes()
        tty.send(b"kill %1\r")
        tty.expect(b"prompt> ")
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the job ends")
        tty.send(b"\r")
        tty.expect(b"Terminated")
        tty.expect(b"prompt> ")

        assert tty.attributes() == modes


def test_a_terminal_that_is_closed_ends_the_conversation(tty: PseudoTerminal) -> None:
    tty.hang_up()

    assert tty.wait(reading=False) == 129


def test_a_program_is_held_back_at_the_pace_of_its_reader() -> None:
    """Held back it prints no more between two keys; what it printed is what the pipe holds."""
    read, write = os.pipe()
    with talking("flood", stdout=write) as tty:
        os.close(write)
        counts = [-1]
        while len(counts) < 3 or counts[-1] != counts[-2] or counts[-1] != counts[-3]:
            assert counts[-1] < 100, "it prints on, and nobody reads"
            tty.send(b"x")
            tty.expect(b"<pieces ")
            counts.append(int(tty.expect(b">")[:-1]))
        tty.send(KEYS)
        assert tty.wait() == 0
    os.close(read)
    assert 1 <= counts[-1] <= 3


def test_a_reader_of_stdout_that_has_gone_ends_it_with_a_code_of_its_own() -> None:
    read, write = os.pipe()
    with talking("flood", stdout=write) as tty:
        os.close(write)
        before = tty.modes_before
        os.close(read)

        assert tty.wait() == 141
        assert tty.attributes() == before
        assert b"<UNREAD>" in tty.output


def test_without_a_terminal_in_the_container_lines_are_sent_and_ctrl_d_ends_them() -> None:
    with talking(terminal=False) as tty:
        tty.expect(b"ready")
        assert not tty.is_raw()
        tty.send(b"one\r")
        tty.expect(b"got b'one\\n'")
        tty.send(b"\x04")
        tty.expect(b"stdin closed")

        assert tty.wait() == 5


def test_without_a_terminal_in_the_container_ctrl_c_ends_the_command() -> None:
    with talking(terminal=False) as tty:
        tty.expect(b"ready")
        tty.send(b"\x03")

        assert tty.wait() == 130


def piped(
    kind: str = "echo",
    *more: str,
    given: bytes | int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
) -> subprocess.CompletedProcess[bytes]:
    """Converse without any terminal."""
    words = [sys.executable, "-m", "tests.rig.conversation", kind, *more]
    stdin = {"input": given} if isinstance(given, bytes) else {"stdin": given}
    return subprocess.run(
        words, **stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=50, check=False
    )


def test_piped_stdin_arrives_whole_and_output_flows_meanwhile() -> None:
    """More than pipes hold: were one direction to wait for the other, both would stand still."""
    data = os.urandom(1 << 20) * 16

    done = piped("digest", given=data)

    assert done.returncode == 5
    assert done.stdout == b"ready\r\n" + data
    assert done.stderr == hashlib.sha256(data).hexdigest().encode() + b"<ENDED>\r\n"


def test_keys_that_detach_are_only_looked_for_on_a_terminal() -> None:
    done = piped(given=KEYS)

    assert done.stdout == b"ready\r\n" + b"got b'\\x10\\x11'\r\n"
    assert done.stderr == b"stdin closed\n<ENDED>\r\n"


def test_a_terminal_of_the_container_gets_ctrl_d_for_the_end_of_a_pipe() -> None:
    done = piped("echo", "terminal", given=b"a")

    assert done.stdout == b"ready\r\ngot b'a'\r\ngot b'\\x04\\x04'\r\n"


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    file = tmp_path / "data"
    file.write_bytes(data)

    with file.open("rb") as given:
        done = piped("digest", given=given.fileno())

    assert (done.returncode, done.stdout) == (5, b"ready\r\n" + data)


def test_no_stdin_at_all_is_its_end() -> None:
    words = [sys.executable, "-m", "tests.rig.conversation", "echo"]

    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *words]
    done = subprocess.run(closed, capture_output=True, timeout=50, check=False)

    assert (done.returncode, done.stdout) == (5, b"ready\r\n")
    assert piped().stdout == b"ready\r\n"


def test_a_stdin_that_cannot_be_read_is_said() -> None:
    for_writing = os.open(os.devnull, os.O_WRONLY)

    done = piped(given=for_writing)

    os.close(for_writing)
    assert done.returncode == 1
    assert done.stderr == b"barasync: stdin cannot be read: Bad file descriptor\n"


def test_a_full_disk_is_said() -> None:
    full = os.open("/dev/full", os.O_WRONLY)

    done = piped(stdout=full)

    os.close(full)
    assert done.returncode == 1
    assert done.stderr.startswith(b"barasync: stdout cannot be written: No space left on device\n")


def test_a_container_that_takes_no_more_is_listened_to_all_the_same() -> None:
    """As one that closes its stdin and goes on: its output ends the conversation, not that."""
    words = [sys.executable, "-m", "tests.rig.conversation", "echo"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"deaf")
            process.stdin.flush()
            assert process.stdout.readline() == b"ready\r\n"
            assert process.stdout.readline() == b"going on\r\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(50) == -signal.SIGTERM
        finally:
            process.kill()


def test_a_pipe_is_held_back_while_the_container_takes_nothing() -> None:
    """What is read ahead is a piece that is sent and one that waits, beside what a pipe holds."""
    words = [sys.executable, "-m", "tests.rig.conversation", "deaf"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stderr is not None
            pipe = process.stdin.fileno()
            os.set_blocking(pipe, False)
            taken = os.write(pipe, b"first")
            assert process.stderr.readline() == b"<sent to>\r\n"
            while taken < 1 << 20 and select.select((), (pipe,), (), 1.0)[1]:
                taken += os.write(pipe, bytes(4096))
            assert 65536 < taken <= 4 * 65536
        finally:
            process.kill()
