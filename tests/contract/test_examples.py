"""The examples on three architectures, by the sentence that the README begins with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from barasync.images.emulation import Host
from barasync.matrix.platforms import native, parse
from tests.contract.emulators import lent
from tests.rig import libpod, services
from tests.rig.command import Barasync
from tests.rig.services import PROJECT, RigService

SENTENCE = ("matrix", "tests", "--arch", "amd64,arm64,riscv64")
# The field e_machine of an ELF header. Source: elf(5), "EM_".
MACHINES = {"amd64": 62, "arm64": 183, "riscv64": 243}

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def emulators() -> Iterator[None]:
    own = native(Host.current().machine)
    with lent([platform for platform in map(parse, MACHINES) if platform != own]):
        yield


def copied(service: RigService, source: Path, directory: Path) -> Barasync:
    """The command line in a copy of an example, without the record of earlier runs."""
    shutil.copytree(source, directory, ignore=shutil.ignore_patterns(".barasync"))
    environ = {**os.environ, "NO_COLOR": "1"}
    # As a person runs them, so with the network that the file or the default gives.
    return Barasync(directory, service.endpoint.url, environ, timeout=840, network=None)


def machines(file: Path) -> set[int]:
    """Return the machines that the ELF headers in a file name; little-endian ones."""
    data = file.read_bytes()
    headers = [found.start() for found in re.finditer(rb"\x7fELF[\x01\x02]\x01\x01", data)]
    return {int.from_bytes(data[start + 18 : start + 20], "little") for start in headers}


@pytest.mark.timeout(300)
def test_hello_passes_everywhere_and_brings_its_program_back(
    service: RigService, tmp_path: Path
) -> None:
    barasync = copied(service, PROJECT / "examples/hello", tmp_path / "hello")

    ended = barasync(*SENTENCE)

    assert ended.code == 0, ended.out + ended.err
    assert "3 passed" in ended.out
    for architecture, machine in MACHINES.items():
        artifacts = barasync.record() / "artifacts" / architecture
        assert machines(artifacts / "census") == {machine}
        assert (artifacts / "tests.log").read_text() in barasync.log(architecture)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("no_image_stays")
def test_images_are_made_of_one_another_for_every_architecture_and_once(
    service: RigService, tmp_path: Path
) -> None:
    barasync = copied(service, PROJECT / "examples/images", tmp_path / "images")
    architectures = ",".join(MACHINES)

    ended = barasync("matrix", "tests")
    made = libpod.containers_made(service.endpoint.socket_path)
    built = barasync("image", "build", "report", "--arch", architectures)

    assert ended.code == 0, ended.out + ended.err
    assert "6 passed" in ended.out
    assert built.code == 0, built.err
    again = libpod.containers_made(service.endpoint.socket_path) - made
    assert not again, "a step was made again"
    for architecture in MACHINES:
        assert f"report {architecture} " in built.out
        assert "3 layer" in barasync.log(f"{architecture}-report")
    (tag,) = re.findall(r"report tag (localhost/report:[0-9a-f]{12})", built.out)
    assert barasync("run", tag, "--", "cat", "report.txt").out.startswith("3 layer\n")


@pytest.mark.timeout(900)
def test_zlib_passes_its_own_tests_everywhere_and_brings_its_library_back(tmp_path: Path) -> None:
    source = subprocess.run(
        [PROJECT / "examples/zlib/fetch"], capture_output=True, text=True, check=True, timeout=200
    ).stdout.strip()

    with services.running(services.host_podman()) as service:
        barasync = copied(service, Path(source), tmp_path / "zlib")
        ended = barasync(*SENTENCE)

    assert ended.code == 0, ended.out + ended.err
    assert "3 passed" in ended.out
    for architecture, machine in MACHINES.items():
        artifacts = barasync.record() / "artifacts" / architecture
        assert machines(artifacts / "libz.a") == {machine}
        assert "*** zlib test OK ***" in (artifacts / "tests.log").read_text()
