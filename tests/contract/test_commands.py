"""The commands beside `matrix` and `run`, and both over a private service of their own."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from barasync import __version__
from barasync.images.emulation import Host
from barasync.matrix.platforms import native, parse, short_name
from tests.contract.emulators import lent
from tests.rig import leftovers, libpod, services
from tests.rig.command import Barasync, read_until
from tests.rig.services import RigService

OWN = native(Host.current().machine)
ARM64 = parse("arm64")
SMALL = '[images.small.bootstrap]\nsuite = "trixie"\npackages = ["busybox"]\n'


def command(service: RigService | None, directory: Path, **environ: str) -> Barasync:
    directory.mkdir()
    url = None if service is None else service.endpoint.url
    return Barasync(directory, url, {**os.environ, "NO_COLOR": "1", **environ})


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Barasync:
    return command(service, tmp_path / "project")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Barasync]:
    """The command line on a host where no podman service runs; storage is the test's own."""
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=False)
        yield command(None, tmp_path / "project", **environ)
        left = leftovers.clear(directory)
        assert not left


# A private service


def test_a_run_without_a_service_starts_one_and_leaves_nothing_of_it(alone: Barasync) -> None:
    alone.configure(SMALL + '[defaults]\nimage = "small"\ncommand = ["busybox", "{rule}"]\n')

    ended = alone("matrix", "arch")

    assert ended.code == 0, ended.out + ended.err
    assert "starting a private one" in ended.err
    assert alone.log(short_name(OWN)) == f"{Host.current().machine}\n"


def test_a_private_service_can_run_the_check_of_this_machine(alone: Barasync) -> None:
    ended = alone("arch", "check", short_name(OWN))

    assert ended.code == 0, ended.out
    assert "works (" in ended.out


def test_a_signal_in_a_run_of_its_own_service_leaves_nothing(alone: Barasync) -> None:
    alone.configure(
        SMALL
        + """
        [defaults]
        image = "small"
        command = ["busybox", "sh", "-c", "echo ready; sleep 1000"]
        """
    )
    with alone.running("matrix", "tests") as process:
        read_until(process, "| ready", 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)

    assert process.returncode == 130, out + err
    assert set(alone.statuses().values()) == {"cancelled"}


def test_the_option_chooses_the_service_before_the_environment_does(
    barasync: Barasync, service: RigService
) -> None:
    ended = barasync("doctor", "--url", service.endpoint.url, url="unix:///nope/podman.sock")

    assert ended.code == 0
    assert f"at {service.endpoint.url} (--url)" in ended.out


# doctor, arch


def test_the_doctor_tells_the_service_the_host_and_the_traps(
    barasync: Barasync, service: RigService
) -> None:
    ended = barasync("doctor")

    found = findings(ended.out)
    assert ended.code == 0, ended.err
    assert f"{service.version} at {service.endpoint.url}" in found["podman"]
    assert found["usage"] == "exact, from each cell's cgroup"
    assert f"overlay in {service.directory}/graph" in found["storage"]
    assert str(barasync.directory) in found["runs"]
    assert ended.out.count("GiB free of") == 2
    assert ended.out.count("cells at once") == 2
    assert re.search(r"native, executed in \d+ ms", found[short_name(OWN)])
    old = service.version.startswith("4.")
    # Podman 5 does not tell either where its locks are files, as they are here.
    assert "this podman does not tell; 0 containers" in found["locks"]
    assert "attach-reinitialises" in found
    assert ("wait-polls" in found) is old
    assert ("dead-monitor-looks-alive" in found) is not old


def findings(text: str) -> dict[str, str]:
    """Return what was found by subject; signs and advice are left out."""
    lines = [line[2:].split(maxsplit=1) for line in text.splitlines() if line[2] != " "]
    return {words[0]: words[1] for words in lines if len(words) == 2}


def test_architectures_are_listed_with_how_they_run(barasync: Barasync) -> None:
    with lent([ARM64]):
        ended = barasync("arch", "list")

    assert ended.code == 0
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in ended.out.splitlines()}
    assert lines[short_name(OWN)] == "native"
    assert lines["arm64"].startswith("emulated  /")
    flags, _, version = lines["arm64"].partition("(flags ")[2].partition(", ")
    assert "F" in flags
    assert version.startswith("QEMU ")


def test_the_names_of_what_runs_are_listed_and_those_of_what_does_not_are_not(
    barasync: Barasync,
) -> None:
    own = short_name(OWN)
    with lent([ARM64]):
        names = barasync("arch", "list", "--names").out.split()
        platforms = barasync("arch", "list", "--names", "--platform").out.split()
        emulated = barasync("arch", "list", "--names", "--emulated", "arm64")
        natively = barasync("arch", "list", "--names", "--emulated", own)
        (data,) = json.loads(barasync("arch", "list", "--json", "arm64").out)
        executed = barasync("arch", "check", *names)
    missing = _without_emulator(barasync)
    one_missing = barasync("arch", "list", "--names", own, missing)
    every = barasync("arch", "list", "--names").out.split()

    assert {own, "arm64"} <= set(names)
    assert platforms == [str(parse(name)) for name in names]
    assert executed.code == 0, executed.out
    assert (emulated.code, emulated.out) == (0, "arm64\n")
    assert (natively.code, natively.out) == (1, "")
    assert (data["platform"], data["state"], data["runs"]) == ("linux/arm64", "emulated", True)
    assert (one_missing.code, one_missing.out, one_missing.err) == (1, f"{own}\n", "")
    assert missing not in every


def test_the_version_of_the_service_is_told_and_that_of_barasync(
    barasync: Barasync, service: RigService
) -> None:
    ours = barasync("version")
    theirs = barasync("version", "--service")
    both = json.loads(barasync("version", "--service", "--json").out)
    unreachable = barasync("version", "--service", "--url", "unix:///nope/podman.sock")

    assert (ours.code, ours.out) == (0, f"{__version__}\n")
    assert (theirs.code, theirs.out) == (0, f"{service.version}\n")
    assert both == {
        "barasync": __version__,
        "podman": service.version,
        "api": f"v{service.version}",
        "endpoint": service.endpoint.url,
    }
    assert (unreachable.code, unreachable.out) == (4, "")


def test_a_check_executes_a_foreign_program(barasync: Barasync) -> None:
    with lent([ARM64]):
        ended = barasync("arch", "check", "arm64")

    assert ended.code == 0, ended.out
    assert ended.out.startswith("arm64    works (")


def test_a_check_of_what_cannot_run_ends_with_1_and_the_reason(barasync: Barasync) -> None:
    missing = _without_emulator(barasync)

    ended = barasync("arch", "check", missing)

    assert ended.code == 1
    assert f"no emulator for {parse(missing)}" in ended.out


def test_a_matrix_of_what_cannot_run_ends_with_4_and_says_what_to_do(barasync: Barasync) -> None:
    missing = _without_emulator(barasync)

    ended = barasync("matrix", "tests", "--image", "localhost/x", "--arch", missing)

    assert ended.code == 4
    assert f"cannot run {parse(missing)}" in ended.err
    assert "hint: " in ended.err
    assert "barasync arch setup" in ended.err or "qemu-user-static" in ended.err


def _without_emulator(barasync: Barasync) -> str:
    """Return an architecture that this host has no emulator for at this moment."""
    listed = barasync("arch", "list").out.splitlines()
    return next(line.split()[0] for line in listed if line.split()[1:] == ["missing"])


# image bootstrap


def test_an_image_is_made_ahead_of_time_for_each_architecture(
    barasync: Barasync, service: RigService
) -> None:
    barasync.configure(SMALL)

    first = barasync("image", "bootstrap", "small", "--arch", "amd64,arm64")
    again = barasync("image", "bootstrap", "small", "--arch", "amd64,arm64")

    assert first.code == 0, first.err
    made = dict(line.split() for line in first.out.splitlines())
    assert list(made) == ["amd64", "arm64"]
    assert again.out == first.out
    assert "reading the index" not in again.err
    for architecture, image in made.items():
        found = libpod.request(service.endpoint.socket_path, "GET", f"images/{image}/json")
        assert found["Architecture"] == architecture


def test_an_image_that_is_not_declared_is_refused_by_name(barasync: Barasync) -> None:
    barasync.configure(SMALL)

    ended = barasync("image", "bootstrap", "smal")

    assert ended.code == 2
    assert "declares no image 'smal'" in ended.err
    assert "'small'" in ended.err
