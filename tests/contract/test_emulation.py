"""Programs of other architectures: in containers of a real podman, and with a real kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import Podman
from barasync.errors import EngineUnavailable
from barasync.images.emulation import Host, State, check, require_there, survey
from barasync.matrix.platforms import ARCHITECTURES, Platform, native, parse
from tests.contract.emulators import lent

pytestmark = [pytest.mark.anyio, pytest.mark.whole_host]

FOREIGN = tuple(
    platform
    for platform in map(parse, ("amd64", "arm64", "armv7", "ppc64le", "riscv64", "s390x"))
    if platform != native(Host.current().machine)
)


@pytest.fixture
def emulators() -> Iterator[None]:
    with lent(FOREIGN):
        yield


@pytest.fixture
def missing() -> Platform:
    """A platform that this machine has no emulator for."""
    everything = [row.platform for row in ARCHITECTURES]
    for emulator in reversed(survey(everything, Host.current())):
        if emulator.state is State.MISSING:
            return emulator.platform
    pytest.skip("this machine has emulators for everything")


async def test_a_program_of_this_machine_works(podman: Podman) -> None:
    own = native(Host.current().machine)

    (found,) = await check(podman, [own])

    assert (found.platform, found.works, found.reason) == (own, True, "")
    assert found.milliseconds is not None
    assert 0 < found.milliseconds < 30_000


@pytest.mark.usefixtures("emulators")
async def test_programs_of_other_machines_work_with_an_emulator(podman: Podman) -> None:
    checks = await check(podman, FOREIGN)

    assert [(found.platform, found.works) for found in checks] == [
        (platform, True) for platform in FOREIGN
    ]


async def test_without_an_emulator_the_reason_is_said(podman: Podman, missing: Platform) -> None:
    (found,) = await check(podman, [missing])

    assert not found.works
    assert found.reason == f"the machine of the podman service has no emulator for {missing}"


async def test_a_service_elsewhere_is_asked_by_running_a_program(
    podman: Podman, missing: Platform
) -> None:
    own = native(Host.current().machine)

    await require_there(podman, [own])
    with pytest.raises(EngineUnavailable, match=f"cannot run {missing}") as caught:
        await require_there(podman, [own, missing])

    assert caught.value.hint is not None


async def test_the_image_of_a_probe_is_made_once(podman: Podman) -> None:
    own = native(Host.current().machine)
    await check(podman, [own])
    before = await podman.images.list(labels={"barasync.kind": "probe"})

    await check(podman, [own])

    assert before
    assert await podman.images.list(labels={"barasync.kind": "probe"}) == before


async def test_a_cancelled_check_leaves_no_container(podman: Podman) -> None:
    own = native(Host.current().machine)
    labels = {"barasync.run": "cancelled-check"}

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: check(podman, [own] * 100, labels=labels))
        while not await podman.containers.list(labels=labels, all=True):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()

    assert await podman.containers.list(labels=labels, all=True) == []


def test_setup_puts_the_registry_of_a_real_kernel_in_order(tmp_path: Path) -> None:
    """In a user namespace, which since Linux 6.7 can have a registry of its own."""
    (tmp_path / "binfmt").mkdir()
    (tmp_path / "program").touch(mode=0o755)
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"]
    mount = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(tmp_path / "binfmt")]
    possible = subprocess.run([*unshare, *mount], capture_output=True, text=True, check=False)
    if possible.returncode != 0:
        pytest.skip(f"no registry in a user namespace here: {possible.stderr.strip()}")

    ran = subprocess.run(
        [*unshare, sys.executable, "-c", _IN_NAMESPACE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    states, done, exit_codes = json.loads(ran.stdout)
    assert states == ["missing", "emulated", "disabled", "emulated", "not_fixed", "emulated"]
    mounted, registered, again, enabled, replaced = done
    assert mounted == f"mounted binfmt_misc on {tmp_path}/binfmt"
    assert ": registered /" in registered
    assert again.endswith(" is registered already")
    assert ": enabled /" in enabled
    assert replaced == registered
    assert exit_codes == [42, 42, 42]


_IN_NAMESPACE = """
import json, subprocess, sys
from dataclasses import replace
from pathlib import Path
from barasync.images.elf import executable
from barasync.images.emulation import Host, setup, survey
from barasync.images.emulation.survey import offer_for, offers
from barasync.matrix.platforms import native, parse

directory = Path(sys.argv[1])
host = replace(Host.current(), binfmt=directory / "binfmt")
platform = parse("s390x" if native(host.machine) == parse("ppc64le") else "ppc64le")
program = directory / "program"
program.write_bytes(executable(platform))
states, done, codes = [], [], []


def look():
    (emulator,) = survey([platform], host)
    states.append(emulator.state)
    return emulator.handler


def mend():
    done.extend(setup([platform], host))


def run():
    codes.append(subprocess.run([program]).returncode)


look()
mend()
mend()
entry = host.binfmt / look().name
run()
entry.write_text("0")
look()
mend()
look()
run()
entry.write_text("-1")
line = offer_for(platform, offers(host)).line()
(host.binfmt / "register").write_text(line.replace("OPF", "OP"))
look()
mend()
look()
run()
print(json.dumps([states, done, codes]))
"""
