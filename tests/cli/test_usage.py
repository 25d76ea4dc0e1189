"""Wrong usage and wrong configuration, as a person meets them: a sentence, a hint, an exit code."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import pytest

from tests.fake.service import FakeService
from tests.rig.command import Barasync, Ended

MINIMAL = '[defaults]\nimage = "localhost/x"\n'
NOBODY = 65534
# Root that may only what its files' modes allow.
WITHOUT_PRIVILEGES = ("/usr/bin/setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.fixture
def barasync(tmp_path: Path) -> Barasync:
    """The command line in an empty project, with no podman to be found."""
    directory = tmp_path / "project"
    directory.mkdir()
    environ = {"PATH": "/nonexistent", "HOME": str(tmp_path), "TERM": "dumb"}
    return Barasync(directory, None, environ)


def configured(barasync: Barasync, text: str, *words: str) -> Ended:
    barasync.configure(text)
    return barasync("matrix", "tests", *words)


@pytest.mark.parametrize(
    "words", [("matrix", "tests"), ("matrix", "--plan", "tests"), ("run", "x", "--", "true")]
)
def test_a_snapshot_under_no_name_for_an_image_is_refused_without_podman(
    barasync: Barasync, words: tuple[str, ...]
) -> None:
    barasync.configure(MINIMAL)
    command, *others = words
    ended = barasync(command, "--snapshot", "Not:1", *others)

    assert (ended.code, ended.out) == (2, "")
    assert "--snapshot: 'Not:1': 'Not' is not a repository" in ended.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[defaults]\ntimout = 3\n", ["defaults.timout", "did you mean 'timeout'", "allowed here"]),
        ("[default]\n", ["default:", "did you mean 'defaults'"]),
        ('[defaults]\ntimeout = "long"\n', ["defaults.timeout", "a number", "'long'"]),
        ("[defaults]\nenv = { A = 1 }\n", ["defaults.env.A", "a string"]),
        ('[defaults]\nmemory = "2 quarts"\n', ["defaults.memory", "2 quarts"]),
        ('[matrix]\narch = ["amd46"]\n', ["matrix.arch[0]", "did you mean 'amd64'"]),
        ('network = "none"\n', ["network: expected a table", "belongs at barasync.toml: defaults"]),
        (
            '[network.a]\nallow = ["443"]\n',
            ["network.a.allow[0]", "without a protocol", "'443/tcp'"],
        ),
        ("[matrix\n", ["line 1", "not TOML"]),
    ],
)
def test_a_mistake_in_the_file_names_file_key_and_what_is_allowed(
    barasync: Barasync, text: str, said: list[str]
) -> None:
    ended = configured(barasync, text)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("barasync: barasync.toml: ")
    assert all(part in ended.err for part in said), ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--wait-healthy", "x"), "--wait-healthy is for a container that goes on"),
        (("--detach", "--wait-healthy=soon", "x"), "'soon' is not a number"),
        (("--health-retries", "2", "x"), "--health-retries is for a container that goes on"),
        (("-d", "--snapshot", "n:1", "x"), "--snapshot cannot be had with --detach"),
        (("-d", "--artifact", "/x", "x"), "--artifact cannot be had with --detach"),
        (("-d", "--keep-failed", "x"), "--keep-failed cannot be had with --detach"),
    ],
)
def test_what_a_detached_container_cannot_have_is_refused_without_podman(
    barasync: Barasync, words: tuple[str, ...], said: str
) -> None:
    ended = barasync("run", *words, "--", "true")

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('network = "shop"', "network 'shop' names hosts"),
        ('services = [{ image = "db", name = "db" }]', "its services end with this command"),
    ],
)
def test_a_detached_container_has_nothing_that_needs_the_command(
    barasync: Barasync, more: str, said: str
) -> None:
    barasync.configure(f'[defaults]\n{more}\n[network.shop]\nallow = ["example.org 443/tcp"]\n')

    ended = barasync("run", "--detach", "x", "--", "true")

    assert (ended.code, ended.out) == (2, "")
    assert f"the container cannot go on by itself: {said}" in ended.err


def test_without_a_file_the_next_step_is_said(barasync: Barasync) -> None:
    ended = barasync("matrix", "tests")

    assert ended.code == 2
    assert "no image is given" in ended.err
    assert "barasync.toml" in ended.err
    assert "--image" in ended.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--arch", "amd46"), 2, "did you mean 'amd64'"),
        (("--arch", ""), 2, "--arch: there is an empty name"),
        (("--memory", "lots"), 2, "--memory: 'lots'"),
        (("--timeout", "-1"), 2, "--timeout"),
        (("--env", "A"), 2, "--env: 'A' is not NAME=VALUE"),
        (("--network", "pubic"), 2, "--network: there is no network 'pubic'; did you mean 'public"),
        (("--network", "local", "--cap-add", "net_raw"), 2, "--cap-add: with NET_RAW cell "),
        (("--network", "host"), 2, "hint: allow that with --allow-host-network"),
        (("--url", "tcp://far:1"), 2, "tcp:// is not supported"),
        (("--select", "nope*"), 3, "--select 'nope*' matches no cell"),
        (("--workspace", "none", "--artifact", "out"), 2, "the artifact 'out' could lie in"),
        (("--nonsense",), 2, "there is no option '--nonsense'"),
        (("--url", "unix:///nope/podman.sock"), 4, "/nope/podman.sock does not exist"),
    ],
)
def test_a_mistake_on_the_command_line_has_its_sentence_and_its_code(
    barasync: Barasync, words: tuple[str, ...], code: int, said: str
) -> None:
    ended = configured(barasync, MINIMAL, *words)

    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err


def test_the_plan_needs_no_podman_and_says_where_a_value_comes_from(barasync: Barasync) -> None:
    barasync.configure(
        MINIMAL + '[matrix]\narch = ["amd64", "riscv64"]\nconfig = ["debug", "release"]\n'
        "[config.release]\ntimeout = 900\n"
    )

    table = barasync("matrix", "tests", "--plan")
    listed = barasync("matrix", "tests", "--plan", "--json", "--memory", "1g")

    assert (table.code, listed.code) == (0, 0)
    rows = [line.split()[0] for line in table.out.splitlines()]
    cells = ["amd64-debug", "amd64-release", "riscv64-debug", "riscv64-release"]
    assert rows == ["CELL", *cells]
    plan = {cell["id"]: cell for cell in json.loads(listed.out)["cells"]}
    assert list(plan) == cells
    settings = plan["amd64-release"]["settings"]
    assert settings["timeout"] == {
        "value": 900.0,
        "source": "barasync.toml: config.release.timeout",
    }
    assert settings["memory"]["source"] == "--memory"
    assert settings["pids"]["source"] == "built-in"


def test_what_a_cell_may_reach_can_be_read_by_programs_without_podman(barasync: Barasync) -> None:
    table = '[network.shop]\nbase = "private"\nallow = ["443/tcp"]\nports = ["80"]\n'
    barasync.configure(MINIMAL + table)

    shown = barasync("network", "show", "shop", "--json")
    listed = barasync("matrix", "tests", "--plan", "--json", "--network", "shop")

    assert (shown.code, listed.code) == (0, 0), shown.err + listed.err
    policy = json.loads(shown.out)
    assert (policy["name"], policy["base"], policy["allow"]) == ("shop", "private", ["443/tcp"])
    assert policy["ports"][0]["host"] is None
    assert {json.dumps(cell["policy"]) for cell in json.loads(listed.out)["cells"]} == {
        json.dumps(policy)
    }


def test_without_any_podman_everything_that_was_tried_is_listed(barasync: Barasync) -> None:
    ended = configured(barasync, MINIMAL)

    assert ended.code == 4
    assert "/run/podman/podman.sock" in ended.err
    assert "a private podman service: podman is not installed" in ended.err
    assert "apt-get install podman" in ended.err
    assert "barasync doctor" in ended.err


def test_the_doctor_ends_with_4_and_the_reason_where_there_is_no_podman(
    barasync: Barasync,
) -> None:
    ended = barasync("doctor")

    assert ended.code == 4
    assert "podman is not installed" in ended.out


def test_an_interrupt_ends_the_reading_of_a_large_project(barasync: Barasync) -> None:
    large = barasync.directory / "large"
    with large.open("wb") as file:
        file.truncate(64 * 1024**3)
    barasync.configure(MINIMAL)

    with barasync.running("matrix", "tests") as process:
        while not has_open(process.pid, large):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)

    assert (process.returncode, out, err) == (130, b"", b"")


def test_an_interrupt_before_the_program_is_loaded_ends_it_without_a_traceback(
    barasync: Barasync, tmp_path: Path
) -> None:
    """The signal comes while a library is imported: by one that sends it."""
    (tmp_path / "typer.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    early = replace(barasync, environ={**barasync.environ, "PYTHONPATH": str(tmp_path)})

    ended = early("--version")

    assert (ended.code, ended.out, ended.err) == (130, "", "")


def has_open(pid: int, path: Path) -> bool:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            if link.readlink() == path:
                return True
    return False


def test_a_file_that_is_no_socket_is_said_to_be_none(barasync: Barasync) -> None:
    place = barasync.directory / "plain"
    place.touch()

    ended = configured(barasync, MINIMAL, "--url", f"unix://{place}")

    assert ended.code == 4
    assert f"{place} is not a socket" in ended.err


def test_a_socket_that_nobody_serves_is_said_to_be_left_over(barasync: Barasync) -> None:
    place = barasync.directory / "stale.sock"
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(place))

    ended = configured(barasync, MINIMAL, "--url", f"unix://{place}")

    assert ended.code == 4
    assert f"nobody listens on {place}" in ended.err


def test_a_socket_that_may_not_be_used_is_said_to_be_denied(barasync: Barasync) -> None:
    with serving(barasync.directory / "theirs.sock", "OK") as place:
        place.chmod(0o600)
        os.chown(place, NOBODY, NOBODY)
        ended = subprocess.run(
            [*WITHOUT_PRIVILEGES, sys.executable, "-m", "barasync", "doctor", "--url", place],
            env=dict(barasync.environ),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert ended.returncode == 4
    assert f"permission denied on {place}" in ended.stdout


@pytest.mark.parametrize("greeting", ["OK", "<html>welcome</html>"])
def test_a_service_that_is_not_podman_is_not_taken_for_one(
    barasync: Barasync, greeting: str
) -> None:
    with serving(barasync.directory / "web.sock", greeting) as place:
        ended = configured(barasync, MINIMAL, "--url", f"unix://{place}")

    assert ended.code == 4
    assert f"the service at {place} is not podman" in ended.err


@contextmanager
def serving(place: Path, greeting: str) -> Iterator[Path]:
    """A web server on a Unix socket that answers everything with a greeting."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(greeting)))
            self.end_headers()
            self.wfile.write(greeting.encode())

        def address_string(self) -> str:
            return "a unix socket"

        def log_message(self, *_: object) -> None:
            pass

    with UnixStreamServer(str(place), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield place
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("matrix",),
        ("run",),
        ("image",),
        ("arch",),
        ("artifact",),
        ("artifact", "fetch"),
        ("container",),
        ("container", "export"),
        ("network",),
        ("network", "show"),
        ("clean",),
        ("doctor",),
    ],
)
def test_help_is_quick_because_it_loads_no_engine(
    barasync: Barasync, words: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "barasync", *words, "--help"],
        env=dict(barasync.environ),
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "Usage: " in done.stdout
    assert "barasync.cli.app" in loaded
    # A time would be the machine's; these take as long again as all the rest.
    assert loaded.isdisjoint({"anyio", "httpx2", "barasync.engine", "barasync.aiopodman"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hunter2"], "--secret: this is not a secret; write 'NAME=PATH' or 'NAME=env:VARIABLE'"),
        (["A=env:NOWHERE"], "--secret: secret A: the variable NOWHERE is not set"),
        (["A=hunter2"], "--secret: secret A: its file cannot be read: No such file or directory"),
        (["A=empty"], "--secret: secret A: the value is empty"),
        (["A=empty", "A=env:HOME"], "--secret: there is a secret A already"),
        (["a.b=env:HOME"], "--secret: 'a.b' cannot name a secret in the environment"),
        (["BARASYNC_RUN=env:HOME"], "--secret: BARASYNC_RUN is set by barasync for every cell"),
        (["A=env:ODD"], "--secret: secret A: the value of ODD is not UTF-8"),
        (["A=large"], "--secret: secret A: podman keeps 511999 bytes at most"),
    ],
)
def test_a_secret_that_cannot_be_one_is_refused_before_podman_is_looked_for(
    barasync: Barasync, words: list[str], said: str
) -> None:
    command = ("run", "localhost/x") if len(words) > 1 else ("matrix", "tests")
    barasync.configure(MINIMAL)
    (barasync.directory / "empty").touch()
    (barasync.directory / "large").write_bytes(b"x" * 512_000)

    odd = replace(barasync, environ={**barasync.environ, "ODD": "hunter2\udcff"})

    ended = odd(*command, *(part for word in words for part in ("--secret", word)))

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"barasync: {said}"), ended.err
    assert "hunter2" not in ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("artifact", "fetch", "box", "out", "here"), "SRC: 'out' is not an absolute path"),
        (("artifact", "fetch", "box", "/", "here"), "SRC: the whole file system is not fetched"),
        (("artifact", "fetch", "box", "/..", "-"), "SRC: the whole file system is not fetched"),
        (("artifact", "fetch", "box", "/out", ""), "DST: a place has a name"),
        (("artifact", "fetch", "box", "/a/there", "."), "there exists already"),
        (("artifact", "fetch", "box", "/a", "there/"), "there is not a directory"),
        (("artifact", "fetch", "-x", "/a", "b"), "there is no option '-x'"),
        (("artifact", "fetch", "a/b/c", "/a", "b"), "CONTAINER: 'a/b/c' is not the name or ID"),
        (("artifact", "fetch", "", "/a", "b"), "CONTAINER: '' is not the name or ID"),
        (("artifact", "fetch", "box", "/a", "b", "--artifacts-size", "0"), "--artifacts-size: '0'"),
        (("artifact", "fetch", "box", "/a/.", "there"), "there is not a directory"),
        (("artifact", "fetch", "--unpack", "box", "/a/.", "x"), "and --unpack takes a file"),
        (("artifact", "fetch", "--replace", "box", "/a", "-"), "--replace is for a place here"),
        (("container", "export", "box", "."), ". is not a regular file"),
        (("container", "export", "box", "/dev/null"), "/dev/null is not a regular file"),
        (("container", "export", "box", "nowhere/x"), "/nowhere is not a directory"),
        (("container", "export", "box", "x/"), "FILE: 'x/' is not the name of a file"),
    ],
)
def test_a_download_that_cannot_be_is_refused_before_podman_is_looked_for(
    barasync: Barasync, words: tuple[str, ...], said: str
) -> None:
    (barasync.directory / "there").touch()

    ended = barasync(*words)

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert [path.name for path in barasync.directory.iterdir()] == ["there"]


@pytest.mark.parametrize(
    "words", [("artifact", "fetch", "box", "/a", "-"), ("container", "export", "box")]
)
def test_an_archive_is_not_written_to_a_terminal(
    barasync: Barasync, words: tuple[str, ...]
) -> None:
    ours, theirs = pty.openpty()
    try:
        with barasync.running(*words, stdout=theirs) as process:
            _, err = process.communicate(timeout=10)
    finally:
        os.close(ours)
        os.close(theirs)

    assert process.returncode == 2
    assert b"a tar archive is not written to a terminal" in err


def test_an_archive_is_not_written_to_what_takes_the_place_of_a_closed_stdout(
    barasync: Barasync,
) -> None:
    deaf = replace(barasync, within=("/bin/sh", "-c", 'exec "$@" >&-', "sh"))

    ended = deaf("container", "export", "box")

    assert ended.code == 2
    assert "a tar archive cannot be written: stdout is closed" in ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--copy", "there"), "--copy: 'there' is not SRC:DST"),
        (("--copy", "there:opt"), "DST is not an absolute path in the container"),
        (("--copy", "there:/.."), "DST is the container's root"),
        (("--copy", "there:/a", "--copy", "there:/a"), "there is copied to /a already"),
        (("--copy", "nothing:/a"), "nothing cannot be read: No such file or directory"),
        (("--copy", "there:/dev/x"), "/dev/x cannot be copied: something is mounted at /dev"),
        (("--copy", "there:/a/x", "-v", "c:/a"), "/a/x cannot be copied: something is mounted"),
    ],
)
def test_a_copy_that_cannot_be_is_refused_before_podman_is_looked_for(
    barasync: Barasync, words: tuple[str, ...], said: str
) -> None:
    (barasync.directory / "there").touch()

    ended = barasync("run", "localhost/x", *words)

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


@pytest.mark.parametrize(
    "words",
    [("matrix", "--plan", "tests"), ("doctor",), ("image", "list"), ("--version",), ("--help",)],
)
def test_a_reader_who_has_left_ends_a_command_without_a_word(
    barasync: Barasync, words: tuple[str, ...]
) -> None:
    barasync.configure(MINIMAL)
    reader, writer = os.pipe()
    os.close(reader)

    with FakeService.running() as service:
        served = replace(barasync, url=service.endpoint.url)
        with served.running(*words, stdout=writer) as process:
            os.close(writer)
            _, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (141, b"")
