"""`barasync shell` as a person uses it: at a pseudo-terminal, and through pipes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from barasync.images.emulation import Host, State, survey
from barasync.matrix.platforms import native, parse, short_name
from tests.rig import busybox as rig_busybox
from tests.rig import leftovers, libpod, probe
from tests.rig.command import Barasync, without_note
from tests.rig.internet import Internet, asked_for_names, internet
from tests.rig.prompt import answer, prompted
from tests.rig.services import RigService

pytestmark = pytest.mark.timeout(180)

OWN = native(Host.current().machine)


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Iterator[Barasync]:
    """The command line in a project with a file of its own; nothing of a run is left after it."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "greeting").write_text(f"hello from {tmp_path.name}\n")
    found = partial(leftovers.of_runs, service.endpoint.socket_path, service.directory)
    before = found()
    yield Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    assert leftovers.settled(lambda: [each for each in found() if each not in before]) == []


def piped(barasync: Barasync, data: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose stdin is a pipe."""
    with barasync.running(*words, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(data, timeout=120)
    return subprocess.CompletedProcess(words, process.returncode, out, without_note(err))


# At a terminal


def test_a_shell_prompts_follows_the_window_and_ends_with_its_own_code(
    barasync: Barasync, busybox: str
) -> None:
    with barasync.on_terminal("shell", busybox, columns=91, rows=27) as terminal:
        before = terminal.attributes()
        prompted(terminal)
        # The first size comes once the command runs.
        terminal.send(b"until [ \"$(stty size)\" = '27 91' ]; do :; done; echo fir''st\r")
        terminal.expect(b"first")
        terminal.resize(132, 43)
        terminal.send(b"until [ \"$(stty size)\" = '43 132' ]; do :; done; echo sec''ond\r")
        terminal.expect(b"second")
        assert answer(terminal, "test -t 0 && test -t 1 && test -t 2 && echo all") == "all\n"
        terminal.send(b"exit 7\r")
        assert terminal.wait() == 7
        assert terminal.attributes() == before


def test_the_terminal_is_of_the_kind_of_the_one_here_unless_something_says_another(
    service: RigService, barasync: Barasync, busybox: str
) -> None:
    says = "localhost/barasync-test-shell:kind"
    libpod.import_image(
        service.endpoint.socket_path,
        rig_busybox.archive(OWN.architecture),
        reference=says,
        architecture=OWN.architecture,
        change="ENV TERM=vt220",
    )
    here = replace(barasync, environ={**barasync.environ, "TERM": "screen-256color"})
    nothing = replace(barasync, environ={**barasync.environ, "TERM": ""})

    def kind(barasync: Barasync, *words: str) -> str:
        with barasync.on_terminal("shell", *words) as terminal:
            prompted(terminal)
            kind = answer(terminal, "echo $TERM")
            terminal.send(b"exit\r")
            assert terminal.wait() == 0
        return kind.strip()

    assert kind(here, busybox) == "screen-256color"
    assert kind(here, busybox, "--env", "TERM=vt100") == "vt100"
    assert kind(here, says) == "vt220"
    assert kind(nothing, busybox) == "xterm"
    assert b"screen" not in piped(here, b"env", "shell", busybox).stdout


def test_ctrl_c_goes_to_the_program_inside_and_ctrl_d_ends_the_shell(
    barasync: Barasync, busybox: str
) -> None:
    with barasync.on_terminal("shell", busybox) as terminal:
        before = terminal.attributes()
        prompted(terminal)
        terminal.send(
            b"(trap 'echo cau''ght; exit 3' INT; echo rea''dy; while :; do sleep 1; done)\r"
        )
        terminal.expect(b"ready")
        terminal.send(b"\x03")
        terminal.expect(b"caught")
        prompted(terminal)
        assert answer(terminal, "echo still here") == "still here\n"
        terminal.send(b"\x04")
        assert terminal.wait() == 0
        assert terminal.attributes() == before


def test_what_is_typed_without_an_echo_is_not_shown(barasync: Barasync, busybox: str) -> None:
    with barasync.on_terminal("shell", busybox) as terminal:
        prompted(terminal)
        terminal.send(b"stty -echo; echo asks''; read word; stty echo; echo length ${#word}\r")
        terminal.expect(b"asks\r\n")
        terminal.send(b"unheard-of\r")
        assert b"unheard" not in terminal.expect(b"length 10")
        terminal.send(b"exit\r")
        assert terminal.wait() == 0


def test_a_command_instead_of_the_shell_has_the_terminal(barasync: Barasync, busybox: str) -> None:
    with barasync.on_terminal("shell", busybox, "--", "sh", "-c", "tty; exit 5") as terminal:
        terminal.expect(b"/dev/")
        assert terminal.wait() == 5


# What a cell has


def test_a_shell_is_in_the_environment_of_its_cell(barasync: Barasync, busybox: str) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["make", "{{rule}}"]
        memory = "96m"
        pids = 50
        timeout = 1
        retries = 3
        artifacts = ["not-there"]
        env = {{ A = "1" }}
        [matrix]
        config = ["debug", "release"]
        [config.release]
        env = {{ PROFILE = "release" }}
        """
    )
    cell = f"{short_name(OWN)}-release"
    with barasync.on_terminal("shell", cell, "--env", "B=2") as terminal:
        prompted(terminal)
        assert answer(terminal, "cat greeting") == (barasync.directory / "greeting").read_text()
        assert answer(terminal, "echo $A$B $PROFILE $BARASYNC_CELL") == f"12 release {cell}\n"
        limits = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
        assert str(96 << 20) in answer(terminal, f"{limits} 2>/dev/null").split()
        # Longer than the timeout of the file, which is for rules.
        assert answer(terminal, "sleep 1.5; rm greeting; ls") == "barasync.toml\n"
        terminal.send(b"false\r")
        terminal.send(b"exit\r")
        assert terminal.wait() == 1
    assert (barasync.directory / "greeting").exists()


def test_what_was_said_is_not_in_the_record_and_the_latest_run_stays_that(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure_script(busybox, "echo a run")
    assert barasync("matrix", "tests").code == 0
    with barasync.on_terminal("shell", short_name(OWN)) as terminal:
        prompted(terminal)
        assert answer(terminal, "echo sec''ret") == "secret\n"
        terminal.send(b"exit\r")
        assert terminal.wait() == 0

    (shell,) = (barasync.directory / ".barasync" / "shells").glob("2*")
    record = b"".join(each.read_bytes() for each in shell.rglob("*") if each.is_file())
    assert b'"passed"' in record
    assert b"secret" not in record
    assert barasync.log(short_name(OWN)) == "a run\n"


@pytest.fixture(scope="module")
def online() -> Iterator[Internet]:
    with internet() as world:
        yield world


@pytest.mark.parametrize("network", ["private", "public"])
def test_the_network_of_the_cell_is_enforced(
    service: RigService, barasync: Barasync, online: Internet, network: str
) -> None:
    probe.make_image(service.endpoint.socket_path)
    probes = [("tcp", online.public[0], 80), ("tcp", online.private[0], 80)]
    command = probe.command(probes)
    with asked_for_names(online, service):
        done = piped(barasync, b"", "shell", probe.IMAGE, "--network", network, "--", *command)

    assert done.returncode == 0, done.stderr
    public, private = json.loads(done.stdout)
    assert (public == "reached", private == "reached") == (
        network == "public",
        network == "private",
    )


# Through a pipe


def test_what_is_piped_arrives_whole_while_output_flows(barasync: Barasync, busybox: str) -> None:
    data = os.urandom(1_000_000) * 100

    done = piped(barasync, data, "shell", busybox, "--", "sh", "-c", "tee /dev/stderr | sha256sum")

    assert done.returncode == 0
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert hashlib.sha256(done.stderr).digest() == hashlib.sha256(data).digest()


def test_a_script_is_executed_by_the_shell(barasync: Barasync, busybox: str) -> None:
    script = b"test -t 0 || echo no terminal\ncat greeting >&2\nexit 3\n"

    done = piped(barasync, script, "shell", busybox, "--workspace", "layer")

    assert (done.returncode, done.stdout) == (3, b"no terminal\n")
    assert done.stderr == (barasync.directory / "greeting").read_bytes()


def test_a_command_that_ends_does_not_wait_for_more_input(barasync: Barasync, busybox: str) -> None:
    words = ("shell", busybox, "--", "sh", "-c", "echo over; exit 4")
    with barasync.running(*words, stdin=subprocess.PIPE) as process:
        assert process.wait(50) == 4
        assert process.stdout is not None
        assert process.stdout.read() == b"over\n"


def test_an_output_that_ends_early_does_not_end_the_command(
    barasync: Barasync, busybox: str
) -> None:
    script = "exec >&- 2>&-; sleep 1; exit 6"

    assert piped(barasync, b"", "shell", busybox, "--", "sh", "-c", script).returncode == 6


def test_its_deadline_ends_a_shell(barasync: Barasync, busybox: str) -> None:
    with barasync.on_terminal("shell", busybox, "--timeout", "1") as terminal:
        terminal.expect(b"ran longer than 1 s and was killed")
        assert terminal.wait() == 124


# What a failed cell left


@pytest.mark.usefixtures("no_image_stays")
def test_a_shell_is_in_what_a_failed_cell_left(barasync: Barasync, busybox: str) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "-c", "echo made >made; rm greeting; exit 3"]
        memory = "96m"
        env = {{ A = "1" }}
        [matrix]
        config = ["debug"]
        """
    )
    assert barasync("matrix", "tests", "--keep-failed").code == 1
    cell = f"{short_name(OWN)}-debug"

    script = b"pwd; ls; echo $A; cat /sys/fs/cgroup/mem*/memory.limit* /sys/fs/cgroup/memory.max"
    done = piped(barasync, script, "shell", "--from-failed", "last", cell)

    directory, *files, variable, limit = done.stdout.decode().split()
    assert (directory, files) == ("/workspace", ["barasync.toml", "made"])
    assert (variable, limit) == ("1", str(96 << 20))
    command = ("shell", "--from-failed", "last", cell, "--", "cat", "made")
    assert piped(barasync, b"", *command).stdout == b"made\n"
    wrong = piped(barasync, b"", "shell", "--from-failed", "last", f"{cell}x")
    assert wrong.returncode == 2
    assert cell.encode() in wrong.stderr


# What cannot be


def test_an_image_without_a_shell_is_said_to_have_none(
    service: RigService, barasync: Barasync
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("nothing"))
    reference = "localhost/barasync-test-shell:nothing"
    architecture = OWN.architecture
    libpod.import_image(
        service.endpoint.socket_path,
        buffer.getvalue(),
        reference=reference,
        architecture=architecture,
    )

    done = piped(barasync, b"", "shell", reference)

    assert done.returncode == 127
    assert done.stderr.decode() == (
        f"barasync: image {reference} has no shell: there is no /bin/sh in it\n"
        "  hint: give the program to execute: `barasync shell … -- PROGRAM`\n"
    )


def test_the_entrypoint_of_an_image_is_no_shell(service: RigService, barasync: Barasync) -> None:
    image = "localhost/barasync-test-shell:entry"
    socket_path = service.endpoint.socket_path
    libpod.import_image(
        socket_path,
        rig_busybox.archive(OWN.architecture),
        reference=image,
        architecture=OWN.architecture,
        change='ENTRYPOINT ["/bin/echo"]',
    )

    assert piped(barasync, b"echo in a shell\n", "shell", image).stdout == b"in a shell\n"
    assert piped(barasync, b"", "shell", image, "--", "a", "word").stdout == b"a word\n"


def test_a_name_that_is_nearly_a_cells_is_told(barasync: Barasync, busybox: str) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        [matrix]
        config = ["debug", "release"]
        """
    )

    ended = barasync("shell", f"{short_name(OWN)}-relaese", "--pull", "never")

    assert ended.code == 5, ended.err
    assert f"did you mean '{short_name(OWN)}-release'?" in ended.err


def test_an_architecture_without_an_emulator_is_said(barasync: Barasync, busybox: str) -> None:
    everything = [parse(name) for name in ("s390x", "ppc64le", "mips64le", "loong64")]
    missing = [each for each in survey(everything, Host.current()) if each.state is State.MISSING]
    if not missing:
        pytest.skip("this machine has emulators for everything")

    ended = barasync("shell", busybox, "--arch", short_name(missing[0].platform))

    assert ended.code == 4
    assert re.search("arch (setup|check)", ended.err)
