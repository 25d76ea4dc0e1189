"""`barasync container exec` and `attach` on real podmans."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager

import pytest
from anyio import to_thread

from barasync.aiopodman import Container, ContainerSpec, Podman
from tests.contract.running import created, running
from tests.rig.command import Barasync, call
from tests.rig.pseudo_terminal import PseudoTerminal, on_terminal

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

MEGABYTES = 100
IDLE = ("sh", "-c", "echo ready; exec sleep 1000")


@asynccontextmanager
async def idle(podman: Podman, busybox: str) -> AsyncIterator[Container]:
    """A container that runs, called `box`."""
    spec = ContainerSpec(image=busybox, name="box", command=IDLE)
    async with running(podman, spec) as container:
        yield container


def at_terminal(barasync: Barasync, *words: str) -> AbstractContextManager[PseudoTerminal]:
    environ = {**barasync.environ, "CONTAINER_HOST": str(barasync.url), "TERM": "xterm"}
    return on_terminal(
        [sys.executable, "-m", "barasync", "container", *words],
        cwd=barasync.directory,
        environ=environ,
    )


async def test_a_command_has_its_own_streams_exit_code_environment_user_and_directory(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = "echo out $NAME $(id -u) $(pwd); echo err >&2; exit 7"
    async with idle(podman, busybox):
        ended = await call(
            barasync,
            *("container", "exec", "-e", "NAME=a b=c", "-u", "1234", "-w", "/tmp"),
            *("box", "--", "sh", "-c", script),
        )
        passed = await call(barasync, "container", "exec", "box", "true")

    assert (ended.code, ended.out, ended.err) == (7, "out a b=c 1234 /tmp\n", "err\n")
    assert (passed.code, passed.out, passed.err) == (0, "", "")


async def test_what_cannot_be_executed_ends_with_126_and_127(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with idle(podman, busybox):
        missing = await call(barasync, "container", "exec", "box", "--", "no-such-command")
        directory = await call(barasync, "container", "exec", "box", "--", "/tmp")
        pair = await call(barasync, "container", "exec", "-e", "NAME", "box", "--", "true")

    assert (missing.code, directory.code, pair.code) == (127, 126, 2), (missing, directory)
    assert missing.err.startswith("barasync: no-such-command was not found in box: ")
    assert directory.err.startswith("barasync: /tmp could not be executed in box: ")
    assert "--env: 'NAME' is not NAME=VALUE" in pair.err


async def test_a_command_that_closes_its_output_is_waited_for_as_long_as_it_runs(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = "echo last; exec <&- >&- 2>&-; sleep 15; exit 7"
    async with idle(podman, busybox):
        ended = await call(barasync, "container", "exec", "box", "--", "sh", "-c", script)

    assert (ended.code, ended.out, ended.err) == (7, "last\n", "")


async def test_a_loop_that_reads_lines_keeps_them(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    # What is executed reads all that it gets: nothing.
    commands = (
        f"{sys.executable} -m barasync container exec --no-stdin box -- sh -c",
        f"{sys.executable} -m barasync shell --no-stdin {busybox} -- sh -c",
        f"{sys.executable} -m barasync run {busybox} -- sh -c",
    )
    looping = "printf '1\\n2\\n3\\n' | while read -r line; do {} \"cat; echo got $line\"; done"

    def loop(command: str) -> str:
        environ = {**barasync.environ, "CONTAINER_HOST": str(barasync.url)}
        done = subprocess.run(
            ["sh", "-c", looping.format(command)],
            cwd=barasync.directory,
            env={**environ, "BARASYNC_NETWORK": "none"},
            capture_output=True,
            check=False,
            timeout=50,
        )
        return done.stdout.decode()

    async with idle(podman, busybox):
        said = [await to_thread.run_sync(loop, command) for command in commands]

    assert said == ["got 1\ngot 2\ngot 3\n"] * len(commands)


async def test_piped_stdin_arrives_whole_while_output_flows(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    data = os.urandom(1 << 20) * MEGABYTES
    words = ("container", "exec", "box", "--", "sh", "-c", "tee /dev/stderr | sha256sum")

    def run() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "barasync", *words],
            cwd=barasync.directory,
            env={**barasync.environ, "CONTAINER_HOST": str(barasync.url)},
            input=data,
            capture_output=True,
            check=False,
            timeout=120,
        )

    async with idle(podman, busybox):
        done = await to_thread.run_sync(run)

    assert (done.returncode, done.stdout.split()[0].decode()) == (
        0,
        hashlib.sha256(data).hexdigest(),
    )
    assert hashlib.sha256(done.stderr).digest() == hashlib.sha256(data).digest()


async def test_a_terminal_has_the_size_of_ours_and_is_restored(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    def talk() -> tuple[int, bool]:
        with at_terminal(barasync, "exec", "box", "sh") as terminal:
            terminal.expect(b"# ")
            # Its size is told once it is there, which the prompt shows.
            size = b""
            while b"24 80" not in size:
                terminal.send(b"stty size; echo a$((1+1))b\r")
                size = terminal.expect(b"a2b")
            terminal.send(b"echo kind-$TERM-\r")
            terminal.expect(b"kind-xterm-")
            # What has printed is what Ctrl-C goes to, not a shell between two commands.
            terminal.send(b"sh -c 'echo go-$((1+1)); exec sleep 1000'\r")
            terminal.expect(b"go-2")
            terminal.send(b"\x03")
            terminal.expect(b"# ")
            terminal.send(b"exit 9\r")
            code = terminal.wait()
            return code, terminal.attributes() == terminal.modes_before

    async with idle(podman, busybox):
        code, restored = await to_thread.run_sync(talk)

    assert (code, restored) == (9, True)


async def test_without_stdin_a_terminal_is_none_and_its_keys_are_nobodys(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    def talk() -> tuple[int, bytes]:
        script = "cat; test -t 0 || test -t 1 || echo none; exit 4"
        with at_terminal(barasync, "exec", "--no-stdin", "box", "--", "sh", "-c", script) as tty:
            tty.send(b"typed\r")
            return tty.wait(), tty.output

    async with idle(podman, busybox):
        code, output = await to_thread.run_sync(talk)

    assert code == 4
    assert output.replace(b"typed\r\n", b"") == b"none\r\n"


async def test_a_shell_is_left_to_itself_and_found_again_as_it_was(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    spec = ContainerSpec(
        image=busybox,
        name="barasync-run-a-one-1-detached",
        labels={"barasync.run": "run-a", "barasync.cell": "one", "barasync.attempt": "1"},
        command=("sh",),
        terminal=True,
        stdin=True,
    )

    def leave() -> tuple[int, bytes]:
        with at_terminal(barasync, "attach", "run-a/one") as terminal:
            terminal.send(b"here=left; echo a$((1+1))b\r")
            terminal.expect(b"a2b")
            terminal.send(b"\x10\x11")
            return terminal.wait(), terminal.output

    def come_back() -> int:
        with at_terminal(barasync, "attach", "one") as terminal:
            terminal.send(b"echo $here-behind\r")
            terminal.expect(b"left-behind")
            terminal.send(b"exit 3\r")
            return terminal.wait()

    async with created(podman, spec) as container:
        await container.start()
        code, output = await to_thread.run_sync(leave)
        state = (await container.inspect()).state.status
        again = await to_thread.run_sync(come_back)

    assert (code, state, again) == (0, "running", 3)
    assert b"detached from barasync-run-a-one-1-detached; `barasync container attach" in output


@asynccontextmanager
async def over(podman: Podman, image: str) -> AsyncIterator[Container]:
    spec = ContainerSpec(image=image, name="over", command=("sh", "-c", "exit 3"))
    async with created(podman, spec) as container:
        await container.start()
        await container.wait()
        yield container


async def test_a_container_that_has_ended_is_not_entered_and_keeps_its_exit_code(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with over(podman, busybox) as container:
        executed = await call(barasync, "container", "exec", "over", "--", "true")
        attached = await call(barasync, "container", "attach", "over")
        nobody = await call(barasync, "container", "attach", "ovre")
        keys = await call(barasync, "container", "attach", "--detach-keys", "ctrl-", "over")
        code = (await container.inspect()).state.exit_code

    assert (executed.code, attached.code, nobody.code, keys.code, code) == (2, 2, 2, 2, 3)
    assert "over does not run: it is exited, exit code 3" in executed.err
    assert "over does not run: it is exited, exit code 3" in attached.err
    assert "there is no container ovre; did you mean 'over'?" in nobody.err
