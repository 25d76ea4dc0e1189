"""Signals while podman keeps a command waiting: every one ends it in order, however many come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from tests.fake.faults import Fault, Hangs
from tests.fake.service import FakeService
from tests.rig import libpod
from tests.rig.command import Barasync, read_until
from tests.rig.signals import as_a_shell_shows
from tests.rig.waiting import wait_until

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
UNLIKE = SIGNALS[:2]
"""Two that Python and the event loop handle by default in different ways."""
PROMPT_SECONDS = 15.0
"""Less than podman may take for an answer, more than a cancelled command waits for one."""

AT_ONCE_SECONDS = 5.0
"""Less than podman may take to let go of a container's files, and a busy host more than none."""


@pytest.fixture
def barasync(service: FakeService, tmp_path: Path) -> Barasync:
    environ = {**os.environ, "NO_COLOR": "1", "TOKEN": "hunter2-0123456789"}
    return Barasync(tmp_path, service.endpoint.url, environ)


def asked(service: FakeService, operation: str) -> None:
    """Wait until a command has asked the service for something."""
    wait_until(lambda: operation in service.requests, f"a request {operation}")


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, said = process.communicate(timeout=40)
    return process.returncode, said.decode()


@pytest.mark.parametrize("number", UNLIKE)
def test_a_secret_whose_making_is_not_answered_is_removed_after_many_signals(
    service: FakeService, barasync: Barasync, number: signal.Signals
) -> None:
    image = service.image("localhost/cell")
    service.inject(Fault("secret-create", Hangs(performed=True, seconds=1)))

    with barasync.running("run", image, "--secret", "T=env:TOKEN", "--", "true") as process:
        wait_until(lambda: bool(service.secrets), "a secret")
        process.send_signal(number)
        process.send_signal(number)
        wait_until(lambda: not service.secrets, "no secret")
        process.send_signal(number)
        code, said = ended(process)

    assert (code, "Traceback" in said) == (128 + number, False), said
    assert service.secrets == []


def test_one_signal_does_not_wait_for_an_answer_that_never_comes(barasync: Barasync) -> None:
    with FakeService.running(Fault("secret-create", Hangs(performed=True))) as service:
        image = service.image("localhost/cell")
        here = replace(barasync, url=service.endpoint.url)
        with here.running("run", image, "--secret", "T=env:TOKEN", "--", "true") as process:
            wait_until(lambda: bool(service.secrets), "a secret")
            began = monotonic()
            process.send_signal(signal.SIGINT)
            code, said = ended(process)

        assert code == 130, said
        assert service.secrets == []
        assert monotonic() - began < PROMPT_SECONDS


@pytest.mark.parametrize(
    ("number", "operation", "words"),
    [
        (signal.SIGINT, "export", "container export {} box.tar"),
        (signal.SIGTERM, "export", "container export {} box.tar"),
        (signal.SIGTERM, "archive", "artifact fetch {} /tmp made/deep/tmp"),
    ],
)
def test_a_download_that_hangs_ends_at_once_and_leaves_nothing_however_many_signals_come(
    service: FakeService,
    barasync: Barasync,
    number: signal.Signals,
    operation: str,
    words: str,
) -> None:
    body = {"image": service.image("localhost/box"), "command": ["true"]}
    made = libpod.request(service.endpoint.socket_path, "POST", "containers/create", body=body)
    service.inject(Fault(operation, Hangs()))
    # As while podman packs: it has the lock of the container.
    service.inject(Fault("unmount", Hangs()))

    with barasync.running(*words.format(made["Id"]).split()) as process:
        asked(service, operation)
        began = monotonic()
        process.send_signal(number)
        asked(service, "unmount")
        process.send_signal(number)
        code, said = ended(process)

    assert (code, said) == (128 + number, "")
    assert list(barasync.directory.iterdir()) == []
    assert monotonic() - began < AT_ONCE_SECONDS


def test_files_that_podman_mounts_for_a_download_that_was_given_up_are_let_go(
    service: FakeService, barasync: Barasync
) -> None:
    body = {"image": service.image("localhost/box"), "command": ["true"]}
    made = libpod.request(service.endpoint.socket_path, "POST", "containers/create", body=body)
    service.inject(Fault("mount", Hangs(performed=True)))

    with barasync.running("container", "export", made["Id"], "box.tar") as process:
        asked(service, "mount")
        process.send_signal(signal.SIGINT)
        code, said = ended(process)

    assert (code, said) == (130, "")
    assert service.requests.count("unmount") == 1
    assert list(barasync.directory.iterdir()) == []


@contextmanager
def run_that_prunes(
    service: FakeService, barasync: Barasync, last: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A run whose cell has ended with the command `last`, and which looks for old images."""
    fifo = barasync.directory / "go on"
    os.mkfifo(fifo)
    barasync.configure(
        f"""
        [defaults]
        image = "{service.image("localhost/cell")}"
        command = ["sh", "-c", "echo ready; cat '{fifo}'; {last}"]
        """
    )
    with barasync.running("matrix", "tests") as process:
        read_until(process, "| ready", 1)
        service.inject(Fault("image-list", Hangs()))
        looks = service.requests.count("image-list")
        fifo.write_bytes(b"")
        wait_until(lambda: service.requests.count("image-list") > looks, "a look for images")
        yield process


def test_a_signal_while_old_layers_are_removed_takes_nothing_from_a_run_that_has_ended(
    service: FakeService, barasync: Barasync
) -> None:
    with run_that_prunes(service, barasync, "true") as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)

    assert process.returncode == 0, err.decode()
    assert "1 passed" in out.decode()
    assert set(barasync.statuses().values()) == {"passed"}


def test_a_signal_while_old_layers_are_removed_waits_for_no_reader_either(
    service: FakeService, barasync: Barasync
) -> None:
    more_than_a_pipe_holds = "seq 100000"
    with run_that_prunes(service, barasync, more_than_a_pipe_holds) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0

    assert set(barasync.statuses().values()) == {"passed"}


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to us", "to our process group"])
def test_a_signal_ends_a_git_that_is_slow_and_is_no_failure_of_it(
    tmp_path: Path, send: Callable[[int, int], None]
) -> None:
    pid = tmp_path / "pid"
    os.mkfifo(pid)
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(f"#!/bin/sh\necho $$ >'{pid}'\nexec sleep 1000\n")
    git.chmod(0o755)
    environ = {**os.environ, "PATH": f"{git.parent}:{os.environ['PATH']}"}
    barasync = Barasync(tmp_path, None, environ, within=("setsid",))
    barasync.configure('defaults = { image = "image", command = ["true"] }')

    with barasync.running("matrix", "tests") as process:
        asked = int(pid.read_text())
        send(process.pid, signal.SIGINT)
        code, said = ended(process)

    assert (code, said) == (130, "")
    with pytest.raises(ProcessLookupError):
        os.kill(asked, 0)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_command_asks_podman_for_anything_ends_it_as_later(
    barasync: Barasync, number: signal.Signals
) -> None:
    fifo = barasync.directory / "token"
    os.mkfifo(fifo)

    run = barasync.running("run", "image", "--secret", f"T={fifo}", "--", "true")
    # It can be opened once the command has come to read it.
    with run as process, fifo.open("wb"):
        process.send_signal(number)
        code, said = ended(process)

    assert (code, "Traceback" in said) == (128 + number, False), said


FLOODED = """
import signal
import sys

import anyio
import typer

from barasync.cli.interrupts import finish

run = anyio.run


def strike(_frame, _event, _argument):
    signal.raise_signal({number})
    return strike


def flood():
    sys.settrace(strike)
    frame = sys._getframe()
    while frame:
        frame.f_trace = strike
        frame = frame.f_back


def run_flooded(*given):
    flood()
    return run(*given)


async def command(_interrupts):
    if {from_the_start}:
        await anyio.sleep_forever()
    flood()
    {ending}


if {from_the_start}:
    anyio.run = run_flooded
try:
    finish(command)
except typer.Exit as ending:
    sys.exit(ending.exit_code)
"""
"""A command, and a signal at every line of Python until the process ends."""


@pytest.mark.parametrize(
    ("from_the_start", "ending", "code"),
    [(True, "return 7", None), (False, "return 7", 7), (False, "raise OSError", None)],
)
@pytest.mark.parametrize("number", SIGNALS)
def test_signals_at_every_line_break_nothing_that_hears_them(
    number: signal.Signals, from_the_start: bool, ending: str, code: int | None
) -> None:
    program = FLOODED.format(number=int(number), from_the_start=from_the_start, ending=ending)

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=50,
    )

    shown = as_a_shell_shows(done.returncode)
    assert (shown, done.stderr.decode()) == (code or 128 + number, "")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_when_all_is_done_takes_nothing_from_the_exit_code(
    tmp_path: Path, number: signal.Signals
) -> None:
    """As if it came in the last moments of the process."""
    program = tmp_path / "program"
    program.write_text(
        f"""
import os
from barasync.cli.interrupts import finish
from typer import Exit

async def command(_interrupts):
    return 7

try:
    finish(command)
except Exit:
    os.kill(os.getpid(), {int(number)})
    raise AssertionError("nothing came of the signal")
"""
    )

    done = subprocess.run(
        [sys.executable, program], capture_output=True, check=False, stdin=subprocess.DEVNULL
    )

    assert (done.returncode, done.stderr) == (7, b"")
