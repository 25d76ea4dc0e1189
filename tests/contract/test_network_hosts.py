"""Policies where the podman service is not as it mostly is: it lacks a program, or gives more."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from barasync.networks.interface import interface_name
from tests.rig import services
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, Ended
from tests.rig.services import Installation, RigService

INTERFACES = Path("/sys/class/net")
BASE = f"localhost/busybox:{native_architecture()}"
# An overlay of its directory has all that the directory has but the program.
HIDE = """
set -e
directory=$(dirname "$0")
mount -t tmpfs hidden /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay -o "lowerdir=$directory,upperdir=/mnt/upper,workdir=/mnt/work" hidden "$directory"
rm "$0"
umount -l /mnt
"""


@contextmanager
def without(service: RigService, program: str) -> Iterator[None]:
    """Take a program from a service, and from what it executes, for the block."""
    inside = ("nsenter", "--target", str(service.thread), "--mount")
    subprocess.run([*inside, "sh", "-c", HIDE, program], check=True)
    try:
        yield
    finally:
        subprocess.run([*inside, "umount", os.path.dirname(program)], check=True)  # noqa: PTH120


def command(service: RigService, directory: Path) -> Barasync:
    directory.mkdir()
    return Barasync(directory, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


def run(barasync: Barasync, network: str, script: str) -> Ended:
    options = ("--workspace", "none", "--network", network)
    return barasync("run", BASE, *options, "--", "sh", "-c", script)


@pytest.mark.parametrize("network", ["private", "public"])
def test_a_service_without_its_firewalls_program_starts_nothing_and_the_package_is_named(
    service: RigService, busybox: str, tmp_path: Path, network: str
) -> None:
    assert busybox
    program, package = ("nft", "nftables")
    if service.version.startswith("4."):
        program = package = "iptables"

    barasync = command(service, tmp_path / "project")
    with without(service, f"/usr/sbin/{program}"):
        ended = run(barasync, network, "echo started")

    assert (ended.code, ended.out) == (4, ""), ended.err
    assert f"install the package {package} on its machine" in ended.err
    assert '`network = "none"` does without' in ended.err
    assert not (
        INTERFACES / interface_name(f"barasync-{barasync.record().name}-{network}")
    ).exists()


@contextmanager
def own_service(installation: Installation, section: str, setting: str) -> Iterator[RigService]:
    """A service with one more setting in its `containers.conf`."""
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=True)
        file = Path(environ["CONTAINERS_CONF"])
        begin = f"[{section}]\n"
        setting = setting.replace("DIRECTORY", str(directory))
        file.write_text(file.read_text().replace(begin, f"{begin}{setting}\n", 1))
        (directory / "helpers").mkdir()
        (directory / "helpers/netavark").symlink_to("/usr/lib/podman/netavark")
        service = services.start(installation, environ, directory)
        try:
            service.busybox(native_architecture())
            yield service
        finally:
            services.stop(service)


def test_without_podmans_resolver_a_name_is_not_known_at_once_and_a_failure_is_told_why(
    installation: Installation, tmp_path: Path
) -> None:
    script = "nslookup $BARASYNC_CELL >/dev/null 2>&1 || echo unknown; exit 7"
    with own_service(installation, "engine", 'helper_binaries_dir = ["DIRECTORY/helpers"]') as one:
        ended = run(command(one, tmp_path / "project"), "private", script)

    assert (ended.code, ended.out) == (7, "unknown\n"), ended.err
    assert "nobody answers on port 53 of 10." in ended.err
    assert "aardvark-dns" in ended.err


def test_a_service_that_gives_capabilities_gives_none_that_lifts_a_policy(
    installation: Installation, tmp_path: Path
) -> None:
    script = "grep CapBnd /proc/self/status"
    given = 'default_capabilities = ["CHOWN", "NET_ADMIN", "SETUID", "SYS_ADMIN"]'
    with own_service(installation, "containers", given) as service:
        barasync = command(service, tmp_path / "project")
        free, held = (run(barasync, network, script) for network in ("none", "local"))

    # linux/capability.h: CHOWN, SETUID, NET_ADMIN, SYS_ADMIN
    assert bounding(free) == 1 << 0 | 1 << 7 | 1 << 12 | 1 << 21, free.err
    assert bounding(held) == 1 << 0 | 1 << 7, held.err


def test_a_service_that_gives_privileges_gives_none_that_lifts_a_policy(
    installation: Installation, tmp_path: Path
) -> None:
    """Podman 4.3 knows no such configuration; from version 5 on such a container has them all."""
    script = "grep CapBnd /proc/self/status; ip link set lo down 2>/dev/null && echo lifted"
    with own_service(installation, "containers", "privileged = true") as service:
        held = run(command(service, tmp_path / "project"), "local", f"{script}; true")

    # linux/capability.h: DAC_READ_SEARCH, NET_ADMIN, NET_RAW, SYS_MODULE, SYS_RAWIO, SYS_ADMIN, BPF
    lifting = sum(1 << number for number in (2, 12, 13, 16, 17, 21, 39))
    assert held.code == 0, held.err
    assert "lifted" not in held.out
    assert bounding(held) & lifting == 0


def bounding(ended: Ended) -> int:
    return int(ended.out.split()[1], 16)
