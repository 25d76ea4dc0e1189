"""Images from a distribution's packages: really downloaded, and really run.

The archives lie in the cache of the tests, so that the second podman and the next run download
nothing.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import ContainerSpec, Podman
from barasync.config.schema import BootstrapTable
from barasync.errors import ImageError
from barasync.images.bootstrap import bootstrap, recipe_for
from barasync.images.elf import HEADER_BYTES, machine_of
from barasync.images.emulation import Host
from barasync.matrix.platforms import Platform, native, parse
from tests.contract.emulators import lent
from tests.contract.running import run
from tests.rig.accounts import ROOTLESS_USER, ensure_rootless_user
from tests.rig.debian import CACHE

# A download may take longer than a test usually may.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

OWN = native(Host.current().machine)
ARM64 = parse("arm64")
PLATFORMS = [OWN] if OWN == ARM64 else [OWN, ARM64]

NAME = "barasync-test"
SMALL = BootstrapTable(suite="trixie")
TOOLCHAIN = BootstrapTable(
    suite="trixie",
    allow_expired=True,  # where riscv64 has to come from sid
    packages=["diffutils", "file", "findutils", "gawk", "gcc", "grep", "libc6-dev", "make", "sed"],
)

LOOK_AROUND = """
set -eu
[ "$BASH_VERSION" ]
sh -c 'echo "sh $0"'
id -un
stat --format=%a /tmp
test /bin/sh -ef /usr/bin/sh
echo "$PATH"
"""

COMPILE = """
set -eu
cd /tmp
printf '#include <stdio.h>\\nint main(void) { puts("hello"); return 0; }\\n' >hello.c
printf 'hello: hello.c\\n\\tcc -O2 -o $@ $<\\n' >Makefile
make --silent
./hello
awk 'BEGIN { print "awk" }'
which file
head -c 20 hello >&2
"""


@pytest.fixture(scope="module")
def emulators() -> Iterator[None]:
    with lent([ARM64, parse("riscv64")]):
        yield


async def made(
    podman: Podman,
    spec: BootstrapTable,
    platform: Platform,
    *,
    name: str = NAME,
    cache_dir: Path = CACHE,
    progress: list[str] | None = None,
) -> str:
    return await bootstrap(
        podman,
        name=name,
        spec=spec,
        platform=platform,
        cache_dir=cache_dir,
        on_progress=[].append if progress is None else progress.append,
    )


@pytest.mark.usefixtures("emulators")
@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
async def test_a_small_image_has_a_shell_users_and_a_path(
    podman: Podman, platform: Platform
) -> None:
    image = await made(podman, SMALL, platform)

    ended = await run(podman, ContainerSpec(image=image, command=("bash", "-c", LOOK_AROUND)))

    assert ended.stderr == b""
    assert ended.stdout.decode().splitlines() == [
        "sh sh",
        "root",
        "1777",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]
    assert ended.state.state.exit_code == 0


async def test_an_image_says_what_it_is(podman: Podman) -> None:
    image = await podman.images.inspect(await made(podman, SMALL, OWN))

    recipe = recipe_for(NAME, SMALL, OWN)
    assert recipe.reference in image.repo_tags
    assert image.architecture == OWN.architecture
    assert image.labels["barasync.kind"] == "bootstrap"
    assert image.labels["barasync.key"] == recipe.key
    assert image.labels["barasync.suite"] == "trixie"
    assert image.config.cmd == ["/bin/bash"]


async def test_the_second_time_nothing_is_done(podman: Podman, tmp_path: Path) -> None:
    first = await made(podman, SMALL, OWN)
    progress: list[str] = []

    second = await made(podman, SMALL, OWN, cache_dir=tmp_path / "unused", progress=progress)

    assert second == first
    assert progress == []


async def test_a_rootless_service_runs_it_too(rootless_podman: Podman) -> None:
    image = await made(rootless_podman, SMALL, OWN)

    ended = await run(rootless_podman, ContainerSpec(image=image, command=("id", "-un")))

    assert (ended.stdout, ended.stderr) == (b"root\n", b"")


async def test_a_package_that_does_not_exist_makes_no_image_and_leaves_nothing(
    podman: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spec = BootstrapTable(suite="trixie", packages=["barasync-no-such-package"])

    with pytest.raises(ImageError, match="Unable to locate package barasync-no-such-package"):
        await made(podman, spec, OWN, cache_dir=tmp_path / "cache")

    recipe = recipe_for(NAME, spec, OWN)
    assert not await podman.images.exists(recipe.reference)
    assert _files(tmp_path) == []


async def test_cancelling_ends_mmdebstrap_and_leaves_nothing(
    podman: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spec = BootstrapTable(suite="trixie", packages=["hello"])

    with anyio.CancelScope() as scope:
        await bootstrap(
            podman,
            name=NAME,
            spec=spec,
            platform=OWN,
            cache_dir=tmp_path / "cache",
            on_progress=lambda line: scope.cancel() if "unpacking" in line else None,
        )

    assert scope.cancelled_caught
    assert not await podman.images.exists(recipe_for(NAME, spec, OWN).reference)
    assert _files(tmp_path) == []
    assert _processes_with(tmp_path) == []


def test_an_ordinary_user_gets_the_same_root_file_system() -> None:
    ensure_rootless_user()
    source, *_ = (recipe := recipe_for(NAME, SMALL, OWN)).sources
    command = recipe.command(source, "unshare")
    user = f"--reuid={ROOTLESS_USER}"
    become = ["setpriv", user, f"--regid={ROOTLESS_USER}", "--init-groups"]

    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile() as output:
        Path(scratch).chmod(0o1777)
        argv = [*become, "env", f"TMPDIR={scratch}", *command]
        ran = subprocess.run(
            argv, stdout=output, stderr=subprocess.PIPE, text=True, cwd="/", check=False
        )
        left = list(Path(scratch).iterdir())
        assert ran.returncode == 0, ran.stderr
        output.seek(0)
        with tarfile.open(fileobj=output) as archive:
            bash = archive.getmember("./usr/bin/bash")

    assert (bash.uid, bash.gid, bash.mode) == (0, 0, 0o755)
    assert left == []


@pytest.mark.slow
@pytest.mark.usefixtures("emulators")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("platform", [*map(parse, ("amd64", "arm64", "riscv64"))], ids=str)
async def test_a_toolchain_compiles_for_its_machine(podman: Podman, platform: Platform) -> None:
    image = await made(podman, TOOLCHAIN, platform, name="barasync-test-toolchain")

    ended = await run(podman, ContainerSpec(image=image, command=("bash", "-c", COMPILE)))

    assert ended.stdout.decode().splitlines() == ["hello", "awk", "/usr/bin/file"]
    assert machine_of(ended.stderr[:HEADER_BYTES]) == platform.architecture


def _files(directory: Path) -> list[str]:
    return [str(path) for path in directory.glob("**/*") if not path.is_dir()]


def _processes_with(path: Path) -> list[str]:
    """Return the command lines that mention `path`."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes()
        except OSError:
            continue
        if os.fsencode(path) in line:
            found.append(os.fsdecode(line).replace("\0", " "))
    return found
