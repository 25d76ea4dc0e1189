"""Platforms: the names in use for an architecture, as data."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError, EngineUnavailable

ByteOrder = Literal["little", "big"]


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An OCI platform, `os/architecture[/variant]`; `str()` gives that spelling.

    Source: OCI image specification, image-index, property `platform`.
    """

    architecture: str
    variant: str = ""
    os: str = "linux"

    def __str__(self) -> str:
        parts = (self.os, self.architecture, self.variant)
        return "/".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One architecture under all of its names.

    `name` is the one in cell ids and never has a hyphen. `debian` is the name that Debian's package
    tools use, `multiarch` that of its libraries and cross compilers, both `None` where Debian has
    no port. `qemu` is QEMU's user-mode emulator and the name of its binfmt_misc handler.
    `machines` are what `uname -m` prints on it. `elf_machine` (`e_machine`), `elf_class` (bits) and
    `byte_order` are what its executables' header says.

    Source: GOARCH and GOARM for the OCI names, `elf.h` for the numbers, dpkg's `cputable` for
    Debian's names.
    """

    name: str
    platform: Platform
    aliases: tuple[str, ...]
    debian: str | None
    multiarch: str | None
    qemu: str
    machines: tuple[str, ...]
    elf_machine: int
    elf_class: Literal[32, 64]
    byte_order: ByteOrder = "little"

    def names(self) -> Iterator[str]:
        """Yield every name that `parse` understands, the one in cell ids first."""
        oci = str(self.platform).removeprefix("linux/")
        multiarch = () if self.multiarch is None else (self.multiarch,)
        yield from dict.fromkeys((self.name, oci, *self.aliases, *multiarch))


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(
        name="amd64",
        platform=Platform("amd64"),
        aliases=("x86_64", "x86-64", "x64", "amd64/v1"),
        debian="amd64",
        multiarch="x86_64-linux-gnu",
        qemu="qemu-x86_64",
        machines=("x86_64",),
        elf_machine=62,
        elf_class=64,
    ),
    Architecture(
        name="arm64",
        platform=Platform("arm64"),
        aliases=("aarch64", "arm64/v8", "arm64v8", "armv8", "armv8a"),
        debian="arm64",
        multiarch="aarch64-linux-gnu",
        qemu="qemu-aarch64",
        machines=("aarch64",),
        elf_machine=183,
        elf_class=64,
    ),
    Architecture(
        name="armv7",
        platform=Platform("arm", "v7"),
        aliases=("arm", "armhf", "armv7a", "armv7l", "armv7hl", "armv8l", "arm32v7"),
        debian="armhf",
        multiarch="arm-linux-gnueabihf",
        qemu="qemu-arm",
        # A 64-bit kernel tells a 32-bit process armv8l.
        machines=("armv7l", "armv8l"),
        elf_machine=40,
        elf_class=32,
    ),
    Architecture(
        name="armv6",
        platform=Platform("arm", "v6"),
        aliases=("armv6l", "arm32v6"),
        debian=None,
        multiarch=None,
        qemu="qemu-arm",
        machines=("armv6l",),
        elf_machine=40,
        elf_class=32,
    ),
    Architecture(
        name="armv5",
        platform=Platform("arm", "v5"),
        # Debian's armel is ARMv5; containerd reads the name as v6.
        aliases=("armel", "armv5l", "armv5te", "armv5tel", "arm32v5"),
        debian="armel",
        multiarch="arm-linux-gnueabi",
        qemu="qemu-arm",
        machines=("armv5tel", "armv5tejl"),
        elf_machine=40,
        elf_class=32,
    ),
    Architecture(
        name="i386",
        platform=Platform("386"),
        aliases=("i486", "i586", "i686", "x86", "ia32", "i686-linux-gnu"),
        debian="i386",
        multiarch="i386-linux-gnu",
        qemu="qemu-i386",
        machines=("i686", "i586", "i486", "i386"),
        elf_machine=3,
        elf_class=32,
    ),
    Architecture(
        name="riscv64",
        platform=Platform("riscv64"),
        aliases=("rv64", "rv64gc", "riscv64gc"),
        debian="riscv64",
        multiarch="riscv64-linux-gnu",
        qemu="qemu-riscv64",
        machines=("riscv64",),
        elf_machine=243,
        elf_class=64,
    ),
    Architecture(
        name="ppc64le",
        platform=Platform("ppc64le"),
        aliases=("ppc64el", "powerpc64le"),
        debian="ppc64el",
        multiarch="powerpc64le-linux-gnu",
        qemu="qemu-ppc64le",
        machines=("ppc64le",),
        elf_machine=21,
        elf_class=64,
    ),
    Architecture(
        name="ppc64",
        platform=Platform("ppc64"),
        aliases=("powerpc64",),
        debian="ppc64",
        multiarch="powerpc64-linux-gnu",
        qemu="qemu-ppc64",
        machines=("ppc64",),
        elf_machine=21,
        elf_class=64,
        byte_order="big",
    ),
    Architecture(
        name="s390x",
        platform=Platform("s390x"),
        aliases=(),
        debian="s390x",
        multiarch="s390x-linux-gnu",
        qemu="qemu-s390x",
        machines=("s390x",),
        elf_machine=22,
        elf_class=64,
        byte_order="big",
    ),
    Architecture(
        name="loong64",
        platform=Platform("loong64"),
        aliases=("loongarch64",),
        debian="loong64",
        multiarch="loongarch64-linux-gnu",
        qemu="qemu-loongarch64",
        machines=("loongarch64",),
        elf_machine=258,
        elf_class=64,
    ),
    Architecture(
        name="mips64le",
        platform=Platform("mips64le"),
        aliases=("mips64el",),
        debian="mips64el",
        multiarch="mips64el-linux-gnuabi64",
        qemu="qemu-mips64el",
        machines=("mips64",),
        elf_machine=8,
        elf_class=64,
    ),
    Architecture(
        name="mips64",
        platform=Platform("mips64"),
        aliases=(),
        debian="mips64",
        multiarch="mips64-linux-gnuabi64",
        qemu="qemu-mips64",
        machines=("mips64",),
        elf_machine=8,
        elf_class=64,
        byte_order="big",
    ),
    Architecture(
        name="mipsle",
        platform=Platform("mipsle"),
        aliases=("mipsel",),
        debian="mipsel",
        multiarch="mipsel-linux-gnu",
        qemu="qemu-mipsel",
        machines=("mips",),
        elf_machine=8,
        elf_class=32,
    ),
    Architecture(
        name="mips",
        platform=Platform("mips"),
        aliases=(),
        debian="mips",
        multiarch="mips-linux-gnu",
        qemu="qemu-mips",
        machines=("mips",),
        elf_machine=8,
        elf_class=32,
        byte_order="big",
    ),
)

_OTHER_SYSTEMS = frozenset({"windows", "darwin", "freebsd"})
_BY_NAME = {name: row for row in ARCHITECTURES for name in row.names()}
_BY_PLATFORM = {row.platform: row for row in ARCHITECTURES}
_BY_MACHINE = {(machine, row.byte_order): row for row in ARCHITECTURES for machine in row.machines}


def parse(name: str, where: str = "") -> Platform:
    """Return the platform that a name means: `arm64`, `aarch64`, `linux/arm/v7`, `X86_64`…

    Two names of one architecture give equal platforms. `where` is put before an error's message.

    Raises:
        ConfigError: the name is not known, or is for another system than Linux.
    """
    prefix = f"{where}: " if where else ""
    wanted = name.strip().lower().removeprefix("linux/")
    system = wanted.partition("/")[0]
    if system in _OTHER_SYSTEMS:
        raise ConfigError(f"{prefix}{name!r} is for {system}; the cells are Linux containers")
    row = _BY_NAME.get(wanted)
    if row is None:
        raise ConfigError(
            f"{prefix}unknown architecture {name!r}{did_you_mean(wanted, _BY_NAME)}",
            hint=f"known: {', '.join(row.name for row in ARCHITECTURES)}",
        )
    return row.platform


def canonical(platform: Platform) -> Platform:
    """Return the platform as `parse` gives it, to compare what an image says with what was asked.

    Images write `arm64/v8` for `arm64` and `arm` for `arm/v7`. What is not in the table is returned
    as it is.
    """
    row = _BY_NAME.get(str(platform).removeprefix("linux/"))
    return platform if row is None else row.platform


def is_known(platform: Platform) -> bool:
    """Tell whether a platform is one that `parse` gives."""
    return platform in _BY_PLATFORM


def describe(platform: Platform) -> Architecture:
    """Return everything known about a platform that `parse` or `native` gave."""
    return _BY_PLATFORM[platform]


def short_name(platform: Platform) -> str:
    """Return the name of a platform in cell ids, without a hyphen: `arm64`, `armv7`."""
    return _BY_PLATFORM[platform].name


def native(machine: str, byte_order: ByteOrder = sys.byteorder) -> Platform:
    """Return the platform of a host, from what `uname -m` prints there.

    `byte_order` decides where the machine's name does not, as for `mips64`.

    Raises:
        EngineUnavailable: the machine is not in the table.
    """
    row = _BY_MACHINE.get((machine, byte_order))
    if row is None:
        raise EngineUnavailable(
            f"this host calls itself {machine!r}, which barasync does not know",
            hint=f"known: {', '.join(sorted({name for name, _ in _BY_MACHINE}))}",
        )
    return row.platform
