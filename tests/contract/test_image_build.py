"""`barasync image build` on real podman: chains of declared images, for this machine and arm64."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from barasync.matrix.platforms import parse
from tests.contract.emulators import lent
from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, Ended, read_until
from tests.rig.services import RigService
from tests.rig.waiting import wait_until

NATIVE = native_architecture()
OTHER = "arm64" if NATIVE != "arm64" else "amd64"
BASE = "localhost/barasync-test/base:1"
BOTH = ("--arch", f"{NATIVE},{OTHER}")

CHAIN = f"""
[images.base]
from = "{BASE}"
env = {{ LEVEL = "base" }}
run = ["echo base $LEVEL >/base"]

[images.tool]
from = "base"
copy = ["tool.sh:/usr/bin/tool"]
run = ["sh /usr/bin/tool >/made"]

[images.dev]
from = "tool"
run = ["cat /base /made >/all", "echo last"]
"""
STEPS = 5
UNTIL_GO = "until [ -e /go ]; do sleep 0.1; done"


@pytest.fixture(scope="module")
def emulators() -> Iterator[None]:
    with lent([parse(OTHER)]):
        yield


@pytest.fixture
def base(service: RigService, busybox_for: Callable[[str], str]) -> Iterator[str]:
    """One name for the busybox of both architectures; afterwards no image of a test is left."""
    before = set(images(service))
    members = [busybox_for(NATIVE), busybox_for(OTHER)]
    before |= set(members)
    socket_path = service.endpoint.socket_path
    path = f"manifests/{BASE}"
    libpod.request(socket_path, "POST", path)
    names = [f"containers-storage:localhost/busybox:{each}" for each in (NATIVE, OTHER)]
    libpod.request(socket_path, "PUT", path, body={"operation": "update", "images": names})
    yield BASE
    for image in set(images(service)) - before:
        for kind in ("manifests", "images"):
            # It is of the other kind, or gone with one that was on top of it.
            with suppress(libpod.RefusedError):
                libpod.request(socket_path, "DELETE", f"{kind}/{image}", query={"force": "true"})


@pytest.fixture
def barasync(service: RigService, tmp_path: Path, base: str) -> Barasync:
    """The command line in a project that declares a chain on `base`."""
    assert base == BASE
    project = tmp_path / "project"
    project.mkdir()
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = Barasync(project, service.endpoint.url, environ)
    command.configure(CHAIN)
    (project / "tool.sh").write_text("echo made on $(uname -m)\n")
    return command


def images(service: RigService) -> dict[str, list[str]]:
    """Return the names of all images, those in between too, by ID."""
    socket_path = service.endpoint.socket_path
    found = libpod.request(socket_path, "GET", "images/json", query={"all": "true"}) or []
    return {image["Id"]: image.get("RepoTags") or [] for image in found}


def built(ended: Ended) -> dict[tuple[str, str], str]:
    """Return what a build printed: IDs by name and architecture, and names."""
    assert ended.code == 0, ended.err
    rows = [line.split() for line in ended.out.splitlines()]
    return {(name, kind): value for name, kind, value in rows}


def printed_by(service: RigService, image: str, *command: str) -> str:
    code, log = libpod.run_container(
        service.endpoint.socket_path, image=image, command=command, timeout=40
    )
    assert code == 0, log
    # The log's frames have a header of eight bytes.
    return log.decode(errors="replace")


@pytest.mark.usefixtures("emulators")
def test_a_chain_is_built_for_two_architectures_and_found_the_second_time(
    barasync: Barasync, service: RigService
) -> None:
    before = libpod.containers_made(service.endpoint.socket_path)
    first = barasync("image", "build", "dev", *BOTH)
    made = built(first)
    after = libpod.containers_made(service.endpoint.socket_path)
    second = barasync("image", "build", "dev", *BOTH)

    assert len(after - before) == 2 * STEPS
    assert built(second) == made
    assert not libpod.containers_made(service.endpoint.socket_path) - after
    assert second.err.count(": cached") == 2 * STEPS
    assert list(made) == [("dev", NATIVE), ("dev", OTHER), ("dev", "tag")]
    machines = {"amd64": "x86_64", "arm64": "aarch64"}
    for architecture in (NATIVE, OTHER):
        image = made["dev", architecture]
        found = libpod.request(service.endpoint.socket_path, "GET", f"images/{image}/json")
        assert found["Architecture"] == architecture
        assert "LEVEL=base" in found["Config"]["Env"]
        said = printed_by(service, image, "cat", "/all")
        assert "base base\n" in said
        assert f"made on {machines[architecture]}\n" in said


@pytest.mark.usefixtures("emulators")
def test_several_architectures_are_one_manifest_list_with_the_platform_of_each(
    barasync: Barasync, service: RigService
) -> None:
    made = built(barasync("image", "build", "base", *BOTH))

    assert made["base", "tag"] == "localhost/base:latest"
    found = libpod.request(
        service.endpoint.socket_path, "GET", "manifests/localhost/base:latest/json"
    )
    platforms = [entry["platform"] for entry in found["manifests"]]
    assert [each["architecture"] for each in platforms] == [NATIVE, OTHER]
    assert {each["os"] for each in platforms} == {"linux"}
    # Podman takes the entry of the platform that it is asked for.
    for architecture in (NATIVE, OTHER):
        said = printed_by(service, made["base", architecture], "cat", "/base")
        assert "base base\n" in said


def test_the_image_of_each_architecture_has_a_name_besides_if_that_is_asked_for(
    barasync: Barasync, service: RigService
) -> None:
    barasync.configure(f'[images.a]\nfrom = "{BASE}"\nenv = {{ A = "1" }}\n')

    tags = ("--tag", "mine:1", "--tag", "far.example/mine:2")
    ended = barasync("image", "build", "a", *BOTH, *tags, "--tag-each")

    rows = [line.split() for line in ended.out.splitlines()]
    names = [row[2] for row in rows if row[1] == "tag"]
    assert names == [
        *("localhost/mine:1", f"localhost/mine:1-{NATIVE}", f"localhost/mine:1-{OTHER}"),
        *("far.example/mine:2", f"far.example/mine:2-{NATIVE}", f"far.example/mine:2-{OTHER}"),
    ]
    socket_path = service.endpoint.socket_path
    ids = {row[1]: row[2] for row in rows if row[1] != "tag"}
    for name in ("localhost/mine:1", "far.example/mine:2"):
        found = libpod.request(socket_path, "GET", f"manifests/{name}/json")
        assert len(found["manifests"]) == 2
        for architecture in (NATIVE, OTHER):
            one = libpod.request(socket_path, "GET", f"images/{name}-{architecture}/json")
            assert (one["Id"], one["Architecture"]) == (ids[architecture], architecture)


def test_what_changes_is_done_again_and_what_comes_after_it(
    barasync: Barasync, service: RigService
) -> None:
    def steps_done() -> int:
        before = libpod.containers_made(service.endpoint.socket_path)
        built(barasync("image", "build", "dev"))
        return len(libpod.containers_made(service.endpoint.socket_path) - before)

    assert steps_done() == STEPS
    barasync.configure(CHAIN.replace("echo last", "echo the very last"))
    assert steps_done() == 1
    (barasync.directory / "tool.sh").write_text("echo made otherwise\n")
    assert steps_done() == 4
    (barasync.directory / "another").write_text("not copied\n")
    assert steps_done() == 0


def test_what_loses_its_network_is_done_again(barasync: Barasync, service: RigService) -> None:
    configuration = f'[images.a]\nfrom = "{BASE}"\nrun = ["ls /sys/class/net"]\n'
    barasync.configure(configuration)
    assert "| eth0" in barasync("image", "build", "a", "--verbose").err
    barasync.configure(f'{configuration}network = "none"\n')
    before = libpod.containers_made(service.endpoint.socket_path)

    ended = barasync("image", "build", "a", "--verbose")

    built(ended)
    assert len(libpod.containers_made(service.endpoint.socket_path) - before) == 1
    assert "| lo" in ended.err
    assert "| eth0" not in ended.err


def test_a_copy_that_leaves_the_project_is_found_before_anything_is_made(
    barasync: Barasync, service: RigService
) -> None:
    (barasync.directory / "tool.sh").unlink()
    (barasync.directory / "tool.sh").symlink_to("/etc/hostname")
    before = libpod.containers_made(service.endpoint.socket_path)

    ended = barasync("image", "build", "dev")

    assert (ended.code, ended.out) == (2, "")
    assert "copy tool.sh leads out of the project: tool.sh is a link to /etc/hostname" in ended.err
    assert not libpod.containers_made(service.endpoint.socket_path) - before


def test_without_the_cache_every_step_is_done_again_and_nothing_unnamed_stays(
    barasync: Barasync, service: RigService
) -> None:
    built(barasync("image", "build", "dev"))
    before = libpod.containers_made(service.endpoint.socket_path)

    built(barasync("image", "build", "dev", "--no-cache"))

    assert len(libpod.containers_made(service.endpoint.socket_path) - before) == STEPS
    assert [] not in images(service).values()


def test_the_names_are_those_that_were_asked_for(barasync: Barasync, service: RigService) -> None:
    ended = barasync("image", "build", "base", "--tag", "mine:1", "--tag", "registry.test/x/y:2")

    made = built(ended)
    names = images(service)[made["base", NATIVE]]
    assert {"localhost/mine:1", "registry.test/x/y:2"} <= set(names)
    assert "localhost/base:latest" not in names
    assert [line.split()[2] for line in ended.out.splitlines()[1:]] == [
        "localhost/mine:1",
        "registry.test/x/y:2",
    ]


@pytest.mark.usefixtures("emulators")
def test_a_list_keeps_what_is_as_declared_and_says_what_it_loses(
    barasync: Barasync, service: RigService
) -> None:
    def architectures() -> list[str]:
        socket_path = service.endpoint.socket_path
        path = "manifests/localhost/base:latest/json"
        found = libpod.request(socket_path, "GET", path)
        return sorted(each["platform"]["architecture"] for each in found["manifests"])

    for words in ((), BOTH, (), ("--no-cache",)):
        ended = barasync("image", "build", "base", *words)
        made = built(ended)
        assert made["base", "tag"] == "localhost/base:latest"
        assert "note: " not in ended.err
    assert architectures() == sorted([NATIVE, OTHER])

    barasync.configure(CHAIN.replace('LEVEL = "base"', 'LEVEL = "another"'))
    ended = barasync("image", "build", "base")

    assert f"note: localhost/base:latest has no image for {parse(OTHER)} any more" in ended.err
    assert "localhost/base:latest" in images(service)[built(ended)["base", NATIVE]]
    assert [] not in images(service).values()


def test_an_image_with_the_project_is_named_after_its_files(
    barasync: Barasync, service: RigService
) -> None:
    barasync.configure(
        CHAIN
        + '[images.project]\nfrom = "base"\nproject = true\nrun = ["cat /workspace/tool.sh"]\n'
    )

    first = built(barasync("image", "build", "project"))["project", "tag"]
    again = built(barasync("image", "build", "project"))["project", "tag"]
    (barasync.directory / "tool.sh").write_text("echo changed\n")
    other = built(barasync("image", "build", "project"))["project", "tag"]

    assert first == again != other
    repository, _, digest = first.partition(":")
    assert repository == "localhost/project"
    assert len(digest) == 12
    names = [name for each in images(service).values() for name in each]
    assert {first, other} <= set(names)


def test_a_step_that_fails_says_where_and_how_and_its_log_has_everything(
    barasync: Barasync, service: RigService
) -> None:
    script = "for i in $(seq 30); do echo line $i; done; echo broken >&2; exit 3"
    barasync.configure(CHAIN.replace("echo last", script))

    ended = barasync("image", "build", "dev")

    assert (ended.code, ended.out) == (5, "")
    (log,) = barasync.directory.glob(".barasync/builds/*-*/dev-*.log")
    for part in ("'dev'", f"linux/{NATIVE}", "exit code 3", "line 30", "broken", log.name):
        assert part in ended.err, ended.err
    assert "line 12" not in ended.err
    assert "line 1\n" in log.read_text()
    before = libpod.containers_made(service.endpoint.socket_path)
    barasync.configure(CHAIN)
    built(barasync("image", "build", "dev"))
    assert len(libpod.containers_made(service.endpoint.socket_path) - before) == 1


def test_two_builds_at_once_do_each_step_once(barasync: Barasync, service: RigService) -> None:
    barasync.configure(f'[images.slow]\nfrom = "{BASE}"\nrun = ["{UNTIL_GO}", "echo second"]\n')
    before = libpod.containers_made(service.endpoint.socket_path)
    with (
        running_a_step(barasync, service, "slow") as (first, container),
        barasync.running("image", "build", "slow", stderr=subprocess.STDOUT) as second,
    ):
        read_until(second, "waits for", 1)
        let_go(service, container)
        outputs = [process.communicate(timeout=40)[0] for process in (first, second)]

    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert len(libpod.containers_made(service.endpoint.socket_path) - before) == 2
    lasts = [output.splitlines()[-2:] for output in outputs]
    assert lasts[0] == lasts[1]
    assert lasts[0][1] == b"slow tag localhost/slow:latest"


def test_an_interruption_in_a_step_leaves_nothing(barasync: Barasync, service: RigService) -> None:
    barasync.configure(f'[images.slow]\nfrom = "{BASE}"\nrun = ["echo first", "{UNTIL_GO}"]\n')
    with running_a_step(barasync, service, "slow") as (process, _):
        before = images(service)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=40)

    assert process.returncode == 130, output
    assert libpod.containers(service.endpoint.socket_path) == {}
    assert images(service) == before


@pytest.mark.whole_host
def test_what_a_killed_build_leaves_goes_with_clean(
    barasync: Barasync, service: RigService
) -> None:
    barasync.configure(f'[images.slow]\nfrom = "{BASE}"\nrun = ["echo first", "{UNTIL_GO}"]\n')
    with running_a_step(barasync, service, "slow") as (process, _):
        process.kill()
        process.wait()

    cleaned = barasync("clean")

    assert cleaned.code == 0, cleaned.out
    assert "removed" in cleaned.out
    assert libpod.containers(service.endpoint.socket_path) == {}
    assert [] not in images(service).values()


def test_an_architecture_that_cannot_run_is_refused_before_anything_is_made(
    barasync: Barasync, service: RigService
) -> None:
    listed = barasync("arch", "list").out.splitlines()
    missing = next(line.split()[0] for line in listed if line.split()[1:] == ["missing"])
    before = libpod.containers_made(service.endpoint.socket_path)

    ended = barasync("image", "build", "dev", "--arch", f"{NATIVE},{missing}")

    assert ended.code == 4
    assert f"cannot run {parse(missing)}" in ended.err
    assert not libpod.containers_made(service.endpoint.socket_path) - before


# matrix and run


def test_a_matrix_builds_what_its_cells_need(barasync: Barasync) -> None:
    barasync.configure(
        CHAIN
        + """
        [defaults]
        image = "dev"
        command = ["cat", "/all"]
        [matrix]
        config = ["debug", "release"]
        """
    )

    ended = barasync("matrix", "tests")
    again = barasync("matrix", "tests")

    for each in (ended, again):
        assert each.code == 0, each.out + each.err
        assert "2 passed" in each.out
    assert "RUN echo last" in ended.out + ended.err
    log = barasync.directory / ".barasync" / "runs"
    (written,) = log.glob(f"*/images/dev-{NATIVE}.log")
    assert "last\n" in written.read_text()


def test_a_cell_whose_image_cannot_be_built_is_an_error_with_that_reason(
    barasync: Barasync,
) -> None:
    barasync.configure(
        CHAIN.replace("echo last", "echo broken; exit 3")
        + """
        [defaults]
        command = ["true"]
        [matrix]
        config = ["good", "bad"]
        [config.good]
        image = "tool"
        [config.bad]
        image = "dev"
        """
    )

    ended = barasync("matrix", "tests")

    assert ended.code == 5, ended.out + ended.err
    cells = {cell["id"]: cell for cell in barasync.result()["cells"]}
    assert cells[f"{NATIVE}-good"]["status"] == "passed"
    bad = cells[f"{NATIVE}-bad"]
    assert bad["status"] == "infrastructure_error"
    for part in ("'dev'", "exit code 3", "broken", f"images/dev-{NATIVE}.log"):
        assert part in bad["reason"]


def test_run_builds_its_image(barasync: Barasync) -> None:
    ended = barasync("run", "tool", "--workspace", "none", "--", "cat", "/made")

    assert ended.code == 0, ended.err
    assert ended.out.startswith("made on ")


@contextmanager
def running_a_step(
    barasync: Barasync, service: RigService, name: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Build an image until the container of a step runs `UNTIL_GO`; give it as well."""
    socket_path = service.endpoint.socket_path

    def waiting() -> list[str]:
        found = libpod.request(socket_path, "GET", "containers/json") or []
        return [each["Id"] for each in found if UNTIL_GO in each["Command"]]

    with barasync.running("image", "build", name, stderr=subprocess.STDOUT) as process:
        wait_until(lambda: bool(waiting()), "the step runs")
        yield process, waiting()[0]


def let_go(service: RigService, container: str) -> None:
    """Let `UNTIL_GO` end in a container."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("go"))
    libpod.request(
        service.endpoint.socket_path,
        "PUT",
        f"containers/{container}/archive",
        query={"path": "/"},
        body=buffer.getvalue(),
    )
