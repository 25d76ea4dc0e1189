"""The packages of toolchains in Debian's archive: apt says what it would install."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from barasync.images.bootstrap.sources import DISTRIBUTIONS
from barasync.images.toolchains import DEV, TOOLCHAINS, Family, Names

CONFIGURATION = """
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Etc::SourceList "{root}/sources";
Dir::Etc::SourceParts "/dev/null";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
"""
ALL: tuple[Names, ...] = tuple(each[Family.DEBIAN] for each in (*TOOLCHAINS.values(), DEV))


class Apt:
    """The index of one suite and architecture, in an empty system."""

    def __init__(self, root: Path, suite: str, architecture: str) -> None:
        (root / "state/lists/partial").mkdir(parents=True)
        (root / "cache/archives/partial").mkdir(parents=True)
        (root / "status").touch()
        (root / "sources").write_text(f"deb {DISTRIBUTIONS['debian'].mirror} {suite} main\n")
        (root / "apt.conf").write_text(CONFIGURATION.format(root=root, architecture=architecture))
        self._environ = {**os.environ, "APT_CONFIG": str(root / "apt.conf"), "LC_ALL": "C"}
        self("update")

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ["apt-get", "-q", *words],
            env=self._environ,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout[-2000:]
        return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("suite", "architecture"), [("bookworm", "amd64"), ("trixie", "riscv64")])
def test_apt_would_install_every_toolchain(tmp_path: Path, suite: str, architecture: str) -> None:
    apt = Apt(tmp_path, suite, architecture)
    wanted = {name for each in ALL for name in each.required}
    if architecture == "amd64":
        wanted |= {name for each in ALL for name in each.optional}

    said = apt("install", "--simulate", *sorted(wanted))

    assert [name for name in sorted(wanted) if f"\nInst {name} (" not in said] == []
