"""Emulators as they are installed: their versions, and what QEMU's own handlers claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.images.elf import executable
from barasync.images.emulation import Host, version_of
from barasync.images.emulation.survey import offers
from barasync.matrix.platforms import ARCHITECTURES, native


@pytest.fixture
def qemu(tmp_path: Path) -> Path:
    """An emulator by its name; what it says is for the test."""
    program = tmp_path / "qemu-aarch64-static"
    program.write_text("#!/bin/sh\necho 'qemu-aarch64 version 7.2.22 (Debian 1:7.2)'\necho (c)\n")
    program.chmod(0o755)
    return program


def test_an_emulator_is_asked_for_its_version_by_its_own_name(qemu: Path) -> None:
    """Under the name of the link it would take its first argument for a program."""
    link = qemu.with_name("aarch64-binfmt-P")
    link.symlink_to(qemu)

    assert version_of(str(link)) == version_of(str(qemu)) == "7.2.22"


def test_what_is_no_qemu_is_not_run(qemu: Path) -> None:
    other = qemu.with_name("rosetta")
    other.write_text(f"#!/bin/sh\ntouch {qemu}.ran\n")
    other.chmod(0o755)

    assert version_of(str(other)) is None
    assert not qemu.with_name(f"{qemu.name}.ran").exists()


def test_an_emulator_that_is_gone_or_broken_has_no_version(qemu: Path) -> None:
    qemu.write_text("#!/bin/sh\nexit 1\n")

    assert version_of(str(qemu)) is None
    assert version_of("/usr/bin/qemu-gone") is None


def test_qemus_own_handlers_take_the_programs_of_their_architecture_and_no_others() -> None:
    """Those of the package on this host; what it has no handler for is this host's own."""
    offered = offers(Host.current())
    of_qemu = [offer for offer in offered if offer.name.startswith("qemu-")]
    assert of_qemu, "qemu-user-static is not installed; script/setup installs it"

    for row in ARCHITECTURES:
        claimants = {one.name for one in of_qemu if one.claim.covers(executable(row.platform))}
        assert claimants <= {row.qemu}
        if row.name in {"arm64", "riscv64", "armv7", "s390x", "ppc64le"}:
            assert claimants or row.platform == native(Host.current().machine)
