"""A run as a part of something: of a script that Ctrl-C is to end, of a pipeline nobody reads."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fake.service import FakeService
from tests.rig.command import Barasync, read_errors_until, read_until, without_note
from tests.rig.pseudo_terminal import on_terminal

ROOT = Path(__file__).parents[2]
SLEEPS = ("sh", "-c", "echo ready; exec sleep 1000")

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def barasync(service: FakeService, tmp_path: Path) -> Barasync:
    return Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


@pytest.mark.parametrize(
    "script",
    ['"$@"; echo SECOND; for i in 1 2; do "$@"; done', 'x=$("$@" | cat >&2); echo SECOND'],
    ids=["commands", "pipeline"],
)
def test_ctrl_c_ends_the_script_that_has_called_it(
    service: FakeService, barasync: Barasync, script: str
) -> None:
    image = service.image("localhost/cell")
    here = replace(barasync, within=("bash", "-c", script, "bash"))

    with here.on_terminal("run", image, "--", *SLEEPS) as terminal:
        terminal.expect(b"ready")
        terminal.send(b"\x03")
        assert terminal.wait() == 130

    assert b"SECOND" not in terminal.output
    assert service.containers == {}


def test_a_command_that_ends_with_130_by_itself_ends_no_script(
    service: FakeService, barasync: Barasync
) -> None:
    image = service.image("localhost/cell")
    here = replace(barasync, within=("bash", "-c", '"$@"; echo "and then $?"', "bash"))

    ended = here("run", image, "--", "sh", "-c", "exit 130")

    assert (ended.code, ended.out) == (0, "and then 130\n")


def test_ctrl_c_ends_bar(service: FakeService, barasync: Barasync) -> None:
    image = service.image("localhost/cell")
    project = barasync.directory
    modules = project / "Bar.d"
    shutil.copytree(ROOT / "tests" / "bar" / "stand-in" / "Bar.d", modules)
    shutil.copy(ROOT / "tests" / "bar" / "stand-in" / "bar", project / "bar")
    shutil.copytree(ROOT / "Bar.d", modules, dirs_exist_ok=True)
    (project / "Barf").write_text(
        f"""
require podman
rule long: -- 'podman_run {image} -- sh -c "echo ready; exec sleep 1000"
    podman_run {image} -- echo SECOND; echo THIRD'
rule after: long -- 'echo FOURTH'
"""
    )
    environ = {
        **barasync._environ(None),
        "PODMAN_BARASYNC": str(Path(sys.executable).with_name("barasync")),
    }

    with on_terminal(["./bar", "after"], cwd=project, environ=environ) as terminal:
        terminal.expect(b"ready")
        terminal.send(b"\x03")
        assert terminal.wait() == 130

    for after in (b"SECOND", b"THIRD", b"FOURTH", b"OK: long"):
        assert after not in terminal.output
    assert service.containers == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_dies_of_the_signal_that_ended_it_with_all_that_it_has_to_say(
    service: FakeService, barasync: Barasync, number: signal.Signals
) -> None:
    barasync.configure(
        f'defaults = {{ image = "{service.image("localhost/cell")}", command = {list(SLEEPS)} }}'
    )
    words = [sys.executable, "-m", "barasync", "matrix", "tests"]
    with subprocess.Popen(
        words, cwd=barasync.directory, env=barasync._environ(None), stdout=subprocess.PIPE
    ) as process:
        try:
            read_until(process, "| ready", 1)
            process.send_signal(number)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()

    assert process.returncode == -number
    assert b"1 cancelled" in out
    assert set(barasync.statuses().values()) == {"cancelled"}
    assert service.containers == {}


@pytest.mark.parametrize("streams", ["", "2>&1"], ids=["stdout", "both"])
def test_a_reader_that_leaves_ends_what_prints_for_ever(
    service: FakeService, barasync: Barasync, streams: str
) -> None:
    image = service.image("localhost/cell")
    # The first line of both may be about what other runs have left.
    script = f'"$@" {streams} | grep --max-count 1 "^y"; exit "${{PIPESTATUS[0]}}"'
    here = replace(barasync, within=("bash", "-c", script, "bash"))

    ended = here("run", image, "--", "yes")

    assert (ended.code, ended.out, ended.said) == (141, "y\n", "")
    (cell,) = barasync.result()["cells"]
    assert (cell["status"], cell["reason"]) == ("cancelled", "nobody reads its output any more")
    assert service.containers == {}


def test_a_command_that_prints_seldom_is_ended_at_the_first_line_that_nobody_reads(
    service: FakeService, barasync: Barasync
) -> None:
    image = service.image("localhost/cell")
    words = ("run", image, "--", "sh", "-c", "while :; do echo x; sleep 1; done")
    with barasync.running(*words) as process:
        read_until(process, "x", 1)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 141


def test_a_command_that_nobody_reads_has_its_grace_and_its_last_words(
    service: FakeService, barasync: Barasync
) -> None:
    image = service.image("localhost/cell")
    script = "trap 'echo over >&2; exit 3' TERM; while :; do echo x; sleep 0.1; done"
    words = ("run", "--stop-grace", "60", image, "--", "sh", "-c", script)
    with barasync.running(*words) as process:
        read_until(process, "x", 1)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(50) == 141
        assert process.stderr is not None
        assert without_note(process.stderr.read()) == b"over\n"


def test_a_reader_of_stderr_that_leaves_ends_nothing(
    service: FakeService, barasync: Barasync
) -> None:
    image = service.image("localhost/cell")
    fifo = barasync.directory / "go on"
    os.mkfifo(fifo)
    script = f"echo one >&2; cat '{fifo}'; seq 20000 >&2; echo whole; exit 5"
    with barasync.running("run", image, "--", "sh", "-c", script) as process:
        read_errors_until(process, "one")
        assert process.stderr is not None
        process.stderr.close()
        fifo.write_bytes(b"")
        assert process.wait(60) == 5
        assert process.stdout is not None
        assert process.stdout.read() == b"whole\n"


def test_a_matrix_goes_on_without_a_reader(service: FakeService, barasync: Barasync) -> None:
    fifo = barasync.directory / "go on"
    os.mkfifo(fifo)
    barasync.configure_script(
        service.image("localhost/cell"), f'echo ready; cat "{fifo}"; seq 20000; echo whole >&2'
    )
    with barasync.running("matrix", "tests") as process:
        read_until(process, "| ready", 1)
        assert process.stdout is not None
        process.stdout.close()
        fifo.write_bytes(b"")
        assert process.wait(60) == 0

    (cell,) = barasync.statuses()
    assert barasync.log(cell, "stderr.log") == "whole\n"
