"""What a SIGKILL leaves where barasync has a podman service of its own, and who can remove it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from barasync.aiopodman.service_place import PREFIX
from tests.rig import networks
from tests.rig.command import Barasync, read_errors_until, read_until
from tests.rig.own_host import OwnHost, own_host
from tests.rig.services import Installation

IMAGE = "localhost/b:1"
SLEEPING = 'trap "" TERM; echo ready; sleep 1000'
NAMES = ("ps", "--all", "--external", "--format", "{{.Names}}")

pytestmark = pytest.mark.whole_host


@pytest.fixture
def host(installation: Installation) -> Iterator[OwnHost]:
    with own_host(installation) as host:
        host.import_busybox(IMAGE)
        yield host
        host.podman("rm", "--all", "--force", "--time", "0")


@pytest.fixture
def barasync(host: OwnHost, tmp_path: Path) -> Iterator[Barasync]:
    project = tmp_path / "project"
    project.mkdir()
    barasync = Barasync(project, None, {**os.environ, **host.environ, "NO_COLOR": "1"})
    yield barasync
    barasync("clean")


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def kill_with_guard(process: subprocess.Popen[bytes]) -> None:
    """Kill barasync and what it has started for its service, as whoever kills a cgroup does."""
    for children in Path(f"/proc/{process.pid}/task").glob("*/children"):
        # A thread may end by itself meanwhile, and so may a child.
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in map(int, children.read_text().split()):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
    kill(process)


def places_of(process: subprocess.Popen[bytes]) -> list[Path]:
    """Return the directories of the private service of a command: it has a lock on each."""
    opened = []
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        # The process lives, and may have closed it since.
        with suppress(FileNotFoundError):
            opened.append(descriptor.readlink())
    return sorted(path for path in opened if path.name.startswith(PREFIX))


def network_namespaces(host: OwnHost) -> list[str]:
    return [point for point in host.mounts() if point.startswith("/run/netns/")]


def layers(host: OwnHost) -> set[Path]:
    return set((host.directory / "graph/overlay").iterdir())


@pytest.mark.parametrize("remover", ["podman", "clean"])
def test_a_killed_cell_with_a_network_is_seen_and_removed_by_any_other_podman(
    host: OwnHost, barasync: Barasync, remover: str
) -> None:
    before = layers(host)
    barasync.configure_script(IMAGE, SLEEPING, 'network = "bridge"')
    with barasync.running("matrix", "tests") as process:
        read_until(process, "| ready", 1)
        name = f"barasync-{barasync.record().name}-"
        kill(process)

    (seen,) = host.podman(*NAMES).split()
    bound = network_namespaces(host)
    if remover == "clean":
        ended = barasync("clean")
        assert (ended.code, ended.err.count("\n")) == (0, 1), ended.out + ended.err
        assert re.search(rf"^container {name}\S+ .*: removed$", ended.out, re.MULTILINE)
    else:
        host.podman("rm", "--force", "--time", "0", seen)

    assert seen.startswith(name)
    assert len(bound) == 1
    assert host.podman(*NAMES) == ""
    assert network_namespaces(host) == []
    assert layers(host) == before


@pytest.mark.parametrize("remover", ["clean", "run"])
def test_the_directories_of_a_service_that_was_killed_too_go_with_clean_and_with_the_next_run(
    barasync: Barasync, tmp_path: Path, remover: str
) -> None:
    # Any run that begins beside the test would remove what it finds in this host's /run.
    (tmp_path / "run").mkdir()
    private_run = f'mount --bind {tmp_path}/run /run && exec "$@"'
    namespace = ("/usr/bin/unshare", "--mount", "--propagation", "private")
    barasync = replace(barasync, within=(*namespace, "/bin/sh", "-c", private_run, "sh"))
    barasync.configure_script(IMAGE, SLEEPING)
    with barasync.running("matrix", "tests") as process:
        read_until(process, "| ready", 1)
        names = places_of(process)
        places = [tmp_path / path.relative_to("/") for path in names if path.parts[1] == "run"]
        places += [path for path in names if path.parts[1] != "run"]
        kill_with_guard(process)
    left = [path.exists() for path in places]
    lines = [f"directory {path} (of a podman service whose barasync is dead)" for path in names]

    promised = barasync("clean", "--dry-run")
    kept = [path.exists() for path in places]
    barasync.configure_script(IMAGE, "true")
    ended = barasync("clean") if remover == "clean" else barasync("matrix", "tests")

    assert (left, kept) == ([True, True], [True, True])
    assert [f"{line}: would be removed" in promised.out for line in lines] == [True, True]
    assert ended.code == 0, ended.out + ended.err
    assert [f"{line}: removed" in ended.out for line in lines] == [remover == "clean"] * 2
    assert [path.exists() for path in places] == [False, False]


def test_clean_removes_all_of_a_killed_build_and_nothing_of_another_builder(
    host: OwnHost, barasync: Barasync, tmp_path: Path
) -> None:
    (barasync.directory / "Containerfile").write_text(
        f"FROM {IMAGE}\nRUN echo one\nRUN echo two\nRUN echo waiting; exec sleep 600\n"
    )
    barasync.configure('[images.app]\ncontainerfile = "Containerfile"\n')
    (tmp_path / "other").mkdir()
    (tmp_path / "other/Containerfile").write_text(f"FROM {IMAGE}\nENV A=1\n")
    host.podman(
        "build", "--rm=false", "--force-rm=false", "--tag", "localhost/other:1", f"{tmp_path}/other"
    )
    others = host.podman(*NAMES).split()
    images = host.podman("images", "--all", "--quiet")
    with barasync.running("image", "build", "app", "--verbose", "--no-cache") as process:
        read_errors_until(process, "| waiting")
        places = places_of(process)
        kill(process)
    left = set(host.podman(*NAMES).split()) - set(others)
    bundles = [path.name for place in places for path in place.glob("buildah*")]

    ended = barasync("clean")
    # Of a network whose last container is killed podman keeps bridge and rules till the next ends.
    network = networks.place_of(host.directory)
    assert network is not None
    kept = networks.left_of(network)
    later = barasync("run", IMAGE, "--network", "bridge", "--workspace", "none", "--", "true")

    assert len(others) == 1
    assert len(left) == 3
    assert bundles
    assert ended.code == 0, ended.out + ended.err
    assert re.search(r"^build app-.*: removed$", ended.out, re.MULTILINE), ended.out
    assert host.podman(*NAMES).split() == others
    assert host.podman("images", "--all", "--quiet") == images
    assert not any(place.exists() for place in places)
    assert len(kept) > 0
    assert (later.code, networks.left_of(network)) == (0, []), later.err
