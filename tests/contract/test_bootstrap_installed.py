"""Packages that are installed: what runs meanwhile, and what it leaves behind.

Most packages here come from an archive of the tests, and their dpkg is a script that does what a
test wants, run by a busybox.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, Podman
from barasync.config.schema import BootstrapTable, BootstrapVariant
from barasync.errors import ImageError
from barasync.images.bootstrap import Recipe, bootstrap, recipe_for
from barasync.images.bootstrap.recipe import SCRATCH
from barasync.images.emulation import Host
from barasync.matrix.platforms import Platform, describe, native, parse
from tests.contract.emulators import lent
from tests.contract.running import run
from tests.rig import debian
from tests.rig.accounts import ROOTLESS_USER, ensure_rootless_user
from tests.rig.busybox import HOST_BUSYBOX
from tests.rig.debian import CACHE, UBUNTU
from tests.rig.repository import SUITE, Package, Repository, repository
from tests.rig.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

OWN = native(Host.current().machine)
ARM64 = parse("arm64")
PLATFORMS = [OWN] if OWN == ARM64 else [OWN, ARM64]
NAME = "barasync-test-installed"

HANGING = """
busybox mkdir /dev /mnt
busybox mknod /dev/null c 1 3
busybox mount -t tmpfs none /mnt
busybox setsid sh -c 'while :; do busybox sleep 600; done' {mark} &
busybox touch /etc/installing
while :; do busybox sleep 600; done
"""


@contextmanager
def installing(script: str, platform: Platform = OWN) -> Iterator[BootstrapTable]:
    """Serve packages whose dpkg is `script`; give the table of an image of them."""
    name = describe(platform).debian
    assert name is not None
    program = (HOST_BUSYBOX if platform == OWN else debian.busybox(name)).read_bytes()
    dpkg = f"#!/bin/sh\nset -eu\n{script}"
    with repository(
        Package(name="dash", path="usr/bin/sh", content=program, architecture=name),
        Package(name="coreutils", path="usr/bin/busybox", content=program, architecture=name),
        Package(name="dpkg", path="usr/bin/dpkg", content=dpkg.encode()),
    ) as served:
        yield _table(served)


def _table(served: Repository) -> BootstrapTable:
    return BootstrapTable(
        suite=SUITE,
        mirrors=[served.url],
        signed_by=str(served.keyring),
        variant=BootstrapVariant.CUSTOM,
    )


@pytest.fixture(scope="module")
def emulators() -> Iterator[None]:
    with lent([ARM64]):
        yield


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where mmdebstrap's files are."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    return directory


@pytest.mark.usefixtures("emulators")
@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
async def test_maintainer_scripts_run_on_the_architecture_of_the_image(
    podman: Podman, platform: Platform, tmp_path: Path
) -> None:
    with installing("busybox uname -m >/etc/machine\n", platform) as spec:
        await made(podman, spec, tmp_path, platform)

    assert _read(tmp_path, "./etc/machine").decode().strip() in describe(platform).machines


async def test_the_keyring_goes_into_the_image_and_apt_there_is_told(
    podman: Podman, tmp_path: Path
) -> None:
    with installing("true\n") as spec:
        await made(podman, spec, tmp_path)
        keys = await anyio.Path(str(spec.signed_by)).read_bytes()

    assert _read(tmp_path, "./etc/apt/keyrings/keyring.gpg") == keys
    assert _read(tmp_path, "./etc/apt/sources.list").decode().strip() == (
        f"deb [signed-by=/etc/apt/keyrings/keyring.gpg] {spec.mirrors[0]} {SUITE} main"
    )


async def test_a_maintainer_script_that_fails_makes_no_image_and_its_words_are_told(
    podman: Podman, tmp_path: Path, scratch: Path
) -> None:
    script = "echo 'dpkg: error processing package x (--install):'; exit 1\n"

    with installing(script) as spec:
        recipe = await to_thread.run_sync(recipe_for, NAME, spec, OWN)
        with pytest.raises(ImageError, match="error processing package x"):
            await made(podman, spec, tmp_path)

    assert not await podman.images.exists(recipe.reference)
    assert _left(scratch) == []


async def test_cancelling_an_installation_leaves_no_process_no_mount_and_no_directory(
    podman: Podman, tmp_path: Path, scratch: Path
) -> None:
    mark = f"barasync-test-{uuid4()}"

    with installing(HANGING.format(mark=mark)) as spec:
        async with anyio.create_task_group() as group:
            group.start_soon(made, podman, spec, tmp_path)
            await to_thread.run_sync(wait_until, lambda: _installs(scratch), "dpkg has begun")
            assert _processes_with(mark)
            group.cancel_scope.cancel()

    assert _processes_with(mark) == []
    assert _left(scratch) == []


def test_the_death_of_barasync_ends_an_installation_and_leaves_nothing(
    scratch: Path, tmp_path: Path
) -> None:
    mark = f"barasync-test-{uuid4()}"
    with installing(HANGING.format(mark=mark)) as spec:
        recipe = recipe_for(NAME, spec, OWN)
        argv = [sys.executable, "-c", _RUN, str(scratch), *_command(recipe, tmp_path)]
        with subprocess.Popen(argv) as process:
            try:
                wait_until(lambda: _installs(scratch), "dpkg has begun")
                assert _processes_with(mark)
            finally:
                process.kill()

        wait_until(lambda: _left(scratch) == [], "the directory is removed")

    assert _processes_with(mark) == []


_RUN = """
import sys, tempfile, anyio
from functools import partial
from barasync.images.bootstrap import mmdebstrap

tempfile.tempdir = sys.argv[1]
with open("/dev/null", "wb") as output:
    anyio.run(partial(
        mmdebstrap.run, sys.argv[2:], environment={}, mode="unshare", output=output.fileno(),
        on_progress=print,
    ))
"""


def test_an_ordinary_user_installs_packages_too(tmp_path: Path) -> None:
    ensure_rootless_user()
    user = f"--reuid={ROOTLESS_USER}"
    become = ["setpriv", user, f"--regid={ROOTLESS_USER}", "--init-groups"]
    with (
        installing("busybox id -u >/etc/user\n") as spec,
        tempfile.TemporaryDirectory() as scratch,
        (tmp_path / "out.tar").open("wb") as output,
    ):
        Path(scratch).chmod(0o1777)
        command = _command(recipe_for(NAME, spec, OWN), Path(scratch))
        argv = [*become, "env", f"TMPDIR={scratch}", *command]
        subprocess.run(argv, stdout=output, cwd="/", check=True)
        left = [path.name for path in Path(scratch).iterdir()]

    with tarfile.open(tmp_path / "out.tar") as archive:
        file = archive.extractfile("./etc/user")
        assert file is not None
        assert file.read() == b"0\n"
    assert left == ["keyring.gpg"]


APT = BootstrapTable(suite="trixie", variant=BootstrapVariant.APT)
FOREIGN_TOO = [OWN, *(pytest.param(each, marks=pytest.mark.slow) for each in PLATFORMS[1:])]


@pytest.mark.usefixtures("emulators")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("platform", FOREIGN_TOO, ids=str)
async def test_in_an_image_with_apt_more_can_be_installed(
    podman: Podman, platform: Platform
) -> None:
    """From Debian's mirror, once; what is installed then comes from the tests' archive."""
    image = await made(podman, APT, CACHE, platform)
    tool = Package(name="tool", path="usr/bin/tool", content=b"#!/bin/sh\necho it works\n")

    with repository(tool) as served:
        script = f"""
            set -eu
            echo "deb [trusted=yes] {served.url} {SUITE} main" >/etc/apt/sources.list
            apt-get --quiet update >&2
            apt-get --quiet --yes install tool >&2
            tool
            dpkg-query --show --showformat '${{Status}}\\n' tool
            /usr/sbin/policy-rc.d tool start || echo "services: $?"
        """
        spec = ContainerSpec(image=image, command=("bash", "-c", script), network="host")
        ended = await run(podman, spec)

    assert ended.stdout.decode().splitlines() == [
        *("it works", "install ok installed", "services: 101"),
    ], ended


@pytest.mark.slow
async def test_apt_in_an_image_takes_packages_from_where_the_image_is_from(podman: Podman) -> None:
    image = await made(podman, APT, CACHE)
    script = "apt-get --quiet update && apt-get --quiet --yes install hello && hello"

    spec = ContainerSpec(image=image, command=("bash", "-c", script), network="bridge")
    ended = await run(podman, spec)

    assert b"Hello, world!" in ended.stdout, ended


@pytest.mark.slow
async def test_an_image_of_ubuntu_is_installed_with_ubuntus_key(podman: Podman) -> None:
    if parse("amd64") != OWN or not await to_thread.run_sync(_ubuntu_is_reachable):
        pytest.skip(f"{UBUNTU} is out of reach, or has no packages for {OWN}")
    keyring = await to_thread.run_sync(debian.ubuntu_keyring)
    spec = BootstrapTable(
        distribution="ubuntu",
        suite="noble",
        variant=BootstrapVariant.APT,
        components=["main"],
        signed_by=str(keyring),
    )

    image = await made(podman, spec, CACHE, name=f"{NAME}-ubuntu")

    command = ("sh", "-c", ". /etc/os-release; echo $ID $VERSION_CODENAME; apt-get --version")
    ended = await run(podman, ContainerSpec(image=image, command=command))
    assert ended.stdout.startswith(b"ubuntu noble\napt "), ended


def _ubuntu_is_reachable() -> bool:
    try:
        with urlopen(f"{UBUNTU}/dists/noble/Release", timeout=10):
            return True
    except OSError:
        return False


async def made(
    podman: Podman,
    spec: BootstrapTable,
    cache: Path,
    platform: Platform = OWN,
    *,
    name: str = NAME,
) -> str:
    return await bootstrap(
        podman,
        name=name,
        spec=spec,
        platform=platform,
        cache_dir=cache,
        on_progress=[].append,
        back_off=(0,),
    )


def _command(recipe: Recipe, scratch: Path) -> list[str]:
    """Return the command, and put the keyring where it looks for it."""
    keyring = scratch / recipe.keyring.name
    keyring.write_bytes(recipe.keyring.read_bytes())
    command = recipe.command(recipe.sources[0], "unshare", keyring=recipe.own_keyring)
    return [word.replace(SCRATCH, str(scratch)) for word in command]


def _read(cache: Path, name: str) -> bytes:
    """Return a file of the root file system that was made."""
    (path,) = cache.glob("bootstrap/*.tar")
    with tarfile.open(path) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def _installs(scratch: Path) -> bool:
    return any(scratch.glob("*/mmdebstrap.*/etc/installing"))


def _left(scratch: Path) -> list[str]:
    """Return what is in the directory, and what is mounted there."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [*map(str, scratch.iterdir()), *(line for line in mounts if str(scratch) in line)]


def _processes_with(mark: str) -> list[int]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes()
        except OSError:
            continue
        if mark.encode() in line.split(b"\0"):
            found.append(int(file.parent.name))
    return found
