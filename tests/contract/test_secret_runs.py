"""Runs with secrets: a cell has them, nobody else reads them, and nothing of them is left."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from barasync.aiopodman import quirks
from barasync.aiopodman.secrets import MOST_BYTES
from barasync.aiopodman.version import negotiate
from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until
from tests.rig.services import RigService

NATIVE = native_architecture()
TOKEN = "hunter2-0123456789abcdef"
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nshort\n-----END KEY-----\n"
PIECES = [TOKEN, "MIIEvQIBADANBgkq", "BEGIN KEY"]
# Prints what it got, the token in two writes, and then waits for a file.
SCRIPT = """
end=${TOKEN#hunter2}; printf hunter2; sleep 0.3; echo "$end"
cat /run/secrets/key.pem >&2
test "$(wc -c </run/secrets/key.pem)" = 61 || exit 3
echo ready; until test -e /go/on; do sleep 0.05; done
"""


@pytest.fixture
def socket_path(service: RigService) -> str:
    return service.endpoint.socket_path


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    """A project whose cells need a token of the environment and a key in a file beside it."""
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "go").mkdir()
    (tmp_path / "key.pem").write_text(KEY)
    environ = {**os.environ, "NO_COLOR": "1", "CI_TOKEN": TOKEN}
    barasync = Barasync(project, service.endpoint.url, environ)
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "-c", '''{SCRIPT}''']
        workspace = "none"
        secrets = ["key.pem=../key.pem"]
        volumes = ["{tmp_path}/go:/go"]
        [matrix]
        config = ["a", "b"]
        """
    )
    return barasync


@pytest.fixture(autouse=True)
def nothing_is_left(barasync: Barasync, socket_path: str) -> Iterator[None]:
    yield
    barasync("clean", "--all")
    assert secrets(socket_path) == []
    assert libpod.containers(socket_path) == {}


def secrets(socket_path: str) -> list[str]:
    return [each["Spec"]["Name"] for each in libpod.request(socket_path, "GET", "secrets/json")]


def matrix(*words: str) -> tuple[str, ...]:
    secret = ("--secret", "TOKEN=env:CI_TOKEN")
    return ("matrix", "tests", "--output", "stream", "--verbose", *secret, *words)


def arguments() -> str:
    """Return the command lines of all processes of this host."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue
    return b"\n".join(lines).decode(errors="replace")


def showing(text: str) -> list[str]:
    return [piece for piece in PIECES if piece in text]


def files_that_show(directory: Path) -> list[Path]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if showing(path.read_bytes().decode(errors="replace"))]


def inspected(socket_path: str) -> list[dict[str, Any]]:
    return [
        libpod.request(socket_path, "GET", f"containers/{container}/json")
        for container in libpod.containers(socket_path)
    ]


def test_secrets_reach_the_cells_and_show_nowhere(
    barasync: Barasync, service: RigService, socket_path: str, tmp_path: Path
) -> None:
    with barasync.running(*matrix(), stderr=subprocess.STDOUT) as process:
        read_until(process, "| ready", 2)
        containers, kept = inspected(socket_path), secrets(socket_path)
        seen = arguments()
        (tmp_path / "go/on").touch()
        said = process.communicate(timeout=40)[0].decode()

    assert process.returncode == 0, said
    run = barasync.record().name
    assert sorted(kept) == [f"barasync-{run}-1", f"barasync-{run}-2"]
    assert secrets(socket_path) == []
    for container in containers:
        environment = json.dumps(container["Config"].pop("Env"))
        old = quirks.SECRET_ENV_IS_SHOWN.is_active(negotiate(service.version).release)
        assert (TOKEN in environment) == old
        assert showing(json.dumps(container)) == []
    assert showing(seen) == []
    assert showing(said) == []
    assert files_that_show(barasync.directory / ".barasync") == []
    for config in ("a", "b"):
        cell = f"{NATIVE}-{config}"
        assert barasync.log(cell, "stdout.log") == "***\nready\n"
        assert barasync.log(cell, "stderr.log") == "***\n"


def test_old_podmans_show_variables_and_the_run_says_so(
    barasync: Barasync, service: RigService, tmp_path: Path
) -> None:
    (tmp_path / "go/on").touch()

    ended = barasync(*matrix("--config", "a"))

    old = quirks.SECRET_ENV_IS_SHOWN.is_active(negotiate(service.version).release)
    assert ("shows the value of a secret in the environment (TOKEN)" in ended.err) == old
    assert ended.code == 0, ended.err


def test_a_plan_names_sources_and_no_values(barasync: Barasync, tmp_path: Path) -> None:
    ended = barasync(*matrix("--plan", "--json"))

    (first, _) = json.loads(ended.out)["cells"]
    assert first["settings"]["secrets"] == {
        "value": [f"key.pem={tmp_path}/key.pem", "TOKEN=env:CI_TOKEN"],
        "source": "barasync.toml: defaults.secrets, --secret",
    }
    assert showing(ended.out + ended.err) == []


def test_a_single_run_passes_its_output_on_masked(
    barasync: Barasync, busybox: str, socket_path: str
) -> None:
    words = ("--secret", "TOKEN=env:CI_TOKEN", "--", "sh", "-c")
    ended = barasync("run", busybox, *words, 'echo "a${TOKEN}b"; echo "<$TOKEN>" >&2; exit 7')

    assert (ended.code, ended.out) == (7, "a***b\n")
    assert "<***>\n" in ended.err
    assert showing(ended.err) == []
    assert secrets(socket_path) == []


@pytest.mark.parametrize("size", [40, MOST_BYTES])
def test_a_file_of_any_bytes_arrives_whole_and_is_masked(
    barasync: Barasync, busybox: str, tmp_path: Path, size: int
) -> None:
    value = (b"\0\xff\xfe\n\x80" + random.Random(1).randbytes(size))[: size - 1] + b"$"
    (tmp_path / "odd").write_bytes(value)
    script = "cat /run/secrets/ODD; echo; sha256sum /run/secrets/ODD"

    ended = barasync("run", busybox, "--secret", "ODD=../odd", "--", "sh", "-c", script)

    assert ended.code == 0, ended.err
    digest = hashlib.sha256(value).hexdigest()
    assert ended.out == f"***\n{digest}  /run/secrets/ODD\n"


def test_a_variable_that_is_not_utf_8_starts_nothing(barasync: Barasync, socket_path: str) -> None:
    odd = replace(barasync, environ={**barasync.environ, "CI_TOKEN": f"{TOKEN}\udcff"})

    ended = odd(*matrix())

    assert ended.code == 2
    assert "the value of CI_TOKEN is not UTF-8" in ended.err
    assert showing(ended.out + ended.err) == []
    assert not (barasync.directory / ".barasync").exists()
    assert secrets(socket_path) == []


def test_a_second_attempt_has_the_secrets_too(barasync: Barasync, busybox: str) -> None:
    script = 'test -e /go/second || { touch /go/second; exit 3; }; test -n "$TOKEN"'
    again = ("--retries", "1", "--retry-on", "failed", "--secret", "TOKEN=env:CI_TOKEN")

    ended = barasync("run", busybox, *again, "--", "sh", "-c", script)

    assert ended.code == 0, ended.err


def test_configurations_may_have_secrets_of_one_name_from_different_places(
    barasync: Barasync, busybox: str, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"value-of-{name}")
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "-c", "sed s/^value-of-/got-/ /run/secrets/KEY"]
        workspace = "none"
        [matrix]
        config = ["a", "b"]
        [config.a]
        secrets = ["KEY=../one"]
        [config.b]
        secrets = ["KEY=../two"]
        """
    )

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.err
    assert [barasync.log(f"{NATIVE}-{config}") for config in ("a", "b")] == ["got-one", "got-two"]


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 20), (signal.SIGTERM, 1)])
def test_signals_leave_no_secret(
    barasync: Barasync, socket_path: str, number: signal.Signals, times: int
) -> None:
    with barasync.running(*matrix()) as process:
        read_until(process, "| ready", 2)
        kept = secrets(socket_path)
        for _ in range(times):
            process.send_signal(number)
        out, err = process.communicate(timeout=40)

    assert len(kept) == 2
    assert process.returncode == 128 + number
    assert secrets(socket_path) == []
    assert showing((out + err).decode()) == []


@pytest.mark.whole_host
def test_clean_removes_the_secrets_of_a_killed_run_and_those_of_no_live_one(
    barasync: Barasync, socket_path: str, tmp_path: Path
) -> None:
    living = replace(barasync, directory=tmp_path / "living")
    living.directory.mkdir()
    living.configure((barasync.directory / "barasync.toml").read_text())
    with living.running(*matrix("--config", "a")) as alive:
        read_until(alive, "| ready", 1)
        live = living.record().name
        with barasync.running(*matrix("--config", "a")) as process:
            read_until(process, "| ready", 1)
            dead = barasync.record().name
            process.kill()
            process.wait()
        left = secrets(socket_path)
        promised = barasync("clean", "--dry-run")
        ended = barasync("clean")
        kept = secrets(socket_path)
        (tmp_path / "go/on").touch()
        alive.communicate(timeout=40)

    names = {run: [f"barasync-{run}-{number}" for number in (1, 2)] for run in (dead, live)}
    assert sorted(left) == sorted(names[dead] + names[live])
    assert sorted(kept) == names[live]
    for name in names[dead]:
        assert f"secret {name} (run {dead}): would be removed\n" in promised.out
        assert f"secret {name} (run {dead}): removed\n" in ended.out
    for name in names[live]:
        assert f"secret {name} (run {live}): kept, its run lives\n" in ended.out
    assert alive.returncode == 0
    assert secrets(socket_path) == []


def test_they_are_masked_in_what_a_shell_prints_through_a_pipe(barasync: Barasync) -> None:
    words = ("shell", f"{NATIVE}-a", "--secret", "TOKEN=env:CI_TOKEN")
    script = b"""
        end=${TOKEN#hunter2}; printf hunter2; sleep 0.3; echo "$end"; printf hunter; sleep 0.3
        cat /run/secrets/key.pem >&2
        test "$(wc -c </run/secrets/key.pem)" = 61 || exit 3
        exit 5
    """
    with barasync.running(*words, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(script, timeout=60)

    said = err.decode()
    assert process.returncode == 5, said
    # What may begin a secret comes at the end.
    assert out == b"***\nhunter"
    assert showing(said) == []
    assert said.endswith("***\n")
    assert files_that_show(barasync.directory) == []


def test_a_secret_that_cannot_be_read_starts_nothing(barasync: Barasync, socket_path: str) -> None:
    (barasync.directory.parent / "key.pem").unlink()

    ended = barasync(*matrix())

    assert ended.code == 2
    assert "barasync.toml: defaults.secrets, --secret: secret key.pem: its file" in ended.err
    assert not (barasync.directory / ".barasync").exists()
    assert secrets(socket_path) == []
