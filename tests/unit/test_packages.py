"""The script that installs packages, run by this host's shell with package managers of ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from barasync.config.schema import Toolchain
from barasync.images.packages import install_script, wanted
from barasync.images.toolchains import DEV, TOOLCHAINS, Family

SAYS = 'echo "${0##*/} $*" >> "$LOG"\n'
APT = {
    "apt-get": SAYS,
    "apt-cache": "case $2 in valgrind) exit 0 ;; *) exit 100 ;; esac\n",
}
DNF = 'case $1 in repoquery) [ "$2" != valgrind ] || echo "valgrind-1:3.24-1.x86_64" ;; *) '
APK = 'case $2 in search) [ "$5" != valgrind ] || echo valgrind ;; *) '


class Image:
    """A directory of programs that stands for an image's, with a log of what they were told."""

    def __init__(self, directory: Path, programs: dict[str, str]) -> None:
        self.directory = directory
        self._log = directory / "log"
        for name, script in {"rm": SAYS, **programs}.items():
            program = directory / name
            program.write_text(f"#!/bin/sh\n{script}")
            program.chmod(0o755)
        (directory / "grep").symlink_to("/bin/grep")

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", script],
            env={"PATH": str(self.directory), "LOG": str(self._log)},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def told(self) -> list[str]:
        return self._log.read_text().splitlines()


def test_debian_has_its_index_read_and_what_is_not_in_it_left_out(tmp_path: Path) -> None:
    image = Image(tmp_path, APT)

    run = image.run(install_script(["less", "g++"], toolchain=Toolchain.RUST, dev=True))

    assert run.returncode == 0
    update, install, clean, remove = image.told
    assert update.startswith("apt-get ")
    assert update.endswith(" update")
    options, _, names = install.partition(" --no-install-recommends ")
    assert options == "apt-get -o Acquire::Retries=3 install -y"
    assert names.split() == [
        *("cargo", "rustc", "ca-certificates", "git", "gcc", "libc6-dev", "pkg-config"),
        *("gdb", "strace", "shellcheck", "less", "g++", "valgrind"),
    ]
    assert clean == "apt-get clean"
    assert remove.startswith("rm -rf /var/lib/apt/lists/")
    assert "rustfmt is not in this image's package index and is left out" in run.stderr
    assert "valgrind" not in run.stderr


@pytest.mark.parametrize("manager", ["dnf", "microdnf"])
def test_fedora_has_the_manager_that_is_there(tmp_path: Path, manager: str) -> None:
    image = Image(tmp_path, {manager: f"{DNF} {SAYS} ;; esac\n"})

    run = image.run(install_script(["less"], dev=True))

    assert run.returncode == 0
    assert image.told == [
        f"{manager} install -y --setopt=install_weak_deps=0 gdb strace less valgrind",
        f"{manager} clean all",
    ]
    assert "ShellCheck is not in this image's package index" in run.stderr


def test_alpine_keeps_no_index(tmp_path: Path) -> None:
    image = Image(tmp_path, {"apk": f"{APK} {SAYS} ;; esac\n"})

    run = image.run(install_script(["less"], dev=True))

    assert run.returncode == 0
    assert image.told == ["apk --no-cache add gdb strace less valgrind"]
    assert "shellcheck is not in this image's package index" in run.stderr


def test_without_a_manager_the_script_says_so_and_fails(tmp_path: Path) -> None:
    run = Image(tmp_path, {}).run(install_script(["less"]))

    assert run.returncode == 1
    assert "neither apt-get nor dnf, microdnf or apk" in run.stderr


@pytest.mark.parametrize("failing", ["update", "install"])
def test_a_failure_of_the_manager_is_the_failure_of_the_script(
    tmp_path: Path, failing: str
) -> None:
    fails = f'case "$*" in *{failing}*) exit 100 ;; esac\n'
    image = Image(tmp_path, {**APT, "apt-get": SAYS + fails})

    run = image.run(install_script(["less"]))

    assert run.returncode == 100
    assert not any(line.startswith("rm") for line in image.told)


def test_names_are_words_to_the_shell(tmp_path: Path) -> None:
    image = Image(tmp_path, {"apk": SAYS})

    image.run(install_script(["a>1.0", "b;reboot", "c&d", "e*"]))

    assert image.told == ["apk --no-cache add a>1.0 b;reboot c&d e*"]


@pytest.mark.parametrize("family", Family)
def test_nothing_is_wanted_twice(family: Family) -> None:
    names = wanted(family, ["gcc", "valgrind", "gcc"], toolchain=Toolchain.C, dev=True)

    assert len(set(names.required)) == len(names.required)
    assert not set(names.required) & set(names.optional)
    assert "valgrind" in names.required


@pytest.mark.parametrize("family", Family)
def test_each_family_has_every_toolchain_and_the_tools_of_developers(family: Family) -> None:
    assert set(TOOLCHAINS) == set(Toolchain)
    assert all(TOOLCHAINS[toolchain][family].required for toolchain in Toolchain)
    dev = DEV[family]
    tools = {name.lower() for name in (*dev.required, *dev.optional)}
    assert tools == {"gdb", "strace", "valgrind", "shellcheck"}


@pytest.mark.parametrize("toolchain", Toolchain)
def test_the_script_is_one_that_a_shell_accepts(toolchain: Toolchain) -> None:
    script = install_script([], toolchain=toolchain, dev=True)

    checked = subprocess.run(["/bin/sh", "-n", "-c", script], capture_output=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, b"")
