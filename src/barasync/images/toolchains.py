"""What the packages of a toolchain are called, by family of distributions.

The names are those of Debian 12 and 13 and Ubuntu, of Fedora and Enterprise Linux, and of Alpine.
A compiled language comes with the C compiler that links for it.

Source: Debian's index of packages, checked with apt; the package indices of Fedora and Alpine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from barasync.config.schema import Toolchain


class Family(StrEnum):
    """Distributions that share a package manager and most names."""

    DEBIAN = "debian"
    FEDORA = "fedora"
    ALPINE = "alpine"


@dataclass(frozen=True, slots=True)
class Names:
    """Packages that have to be had, and those that are left out where the index has them not."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


_C_COMPILER: Mapping[Family, tuple[str, ...]] = {
    Family.DEBIAN: ("gcc", "libc6-dev"),
    Family.FEDORA: ("gcc", "glibc-devel"),
    Family.ALPINE: ("gcc", "musl-dev"),
}
_PKG_CONFIG: Mapping[Family, str] = {
    Family.DEBIAN: "pkg-config",
    Family.FEDORA: "pkgconf-pkg-config",
    Family.ALPINE: "pkgconf",
}


def _each(names: Mapping[Family, Names]) -> Mapping[Family, Names]:
    assert set(names) == set(Family)
    return MappingProxyType(dict(names))


def _linked(family: Family, *required: str, optional: tuple[str, ...] = ()) -> Names:
    return Names((*required, *_C_COMPILER[family], _PKG_CONFIG[family]), optional)


TOOLCHAINS: Mapping[Toolchain, Mapping[Family, Names]] = MappingProxyType(
    {
        Toolchain.C: _each(
            {
                Family.DEBIAN: _linked(Family.DEBIAN, "g++", "make", "cmake"),
                Family.FEDORA: _linked(Family.FEDORA, "gcc-c++", "make", "cmake"),
                Family.ALPINE: _linked(Family.ALPINE, "g++", "make", "cmake"),
            }
        ),
        Toolchain.GO: _each(
            {
                Family.DEBIAN: _linked(Family.DEBIAN, "golang-go", "ca-certificates", "git"),
                Family.FEDORA: _linked(Family.FEDORA, "golang", "ca-certificates", "git-core"),
                Family.ALPINE: _linked(Family.ALPINE, "go", "ca-certificates", "git"),
            }
        ),
        Toolchain.NODE: _each(
            {
                Family.DEBIAN: Names(("nodejs", "npm", "ca-certificates")),
                # Fedora's nodejs-npm provides the name that Enterprise Linux has it by.
                Family.FEDORA: Names(("nodejs", "npm", "ca-certificates")),
                Family.ALPINE: Names(("nodejs", "npm", "ca-certificates")),
            }
        ),
        Toolchain.PYTHON: _each(
            {
                Family.DEBIAN: _linked(
                    Family.DEBIAN,
                    *("python3", "python3-dev", "python3-pip", "python3-venv", "ca-certificates"),
                ),
                Family.FEDORA: _linked(
                    Family.FEDORA,
                    *("python3", "python3-devel", "python3-pip", "ca-certificates"),
                ),
                Family.ALPINE: _linked(
                    Family.ALPINE, "python3", "python3-dev", "py3-pip", "ca-certificates"
                ),
            }
        ),
        Toolchain.RUST: _each(
            {
                Family.DEBIAN: _linked(
                    Family.DEBIAN,
                    *("cargo", "rustc", "ca-certificates", "git"),
                    optional=("rustfmt", "rust-clippy"),
                ),
                Family.FEDORA: _linked(
                    Family.FEDORA,
                    *("cargo", "rust", "ca-certificates", "git-core"),
                    optional=("rustfmt", "clippy"),
                ),
                Family.ALPINE: _linked(
                    Family.ALPINE,
                    *("cargo", "rust", "ca-certificates", "git"),
                    optional=("rustfmt", "rust-clippy"),
                ),
            }
        ),
    }
)

DEV: Mapping[Family, Names] = _each(
    {
        Family.DEBIAN: Names(("gdb", "strace", "shellcheck"), optional=("valgrind",)),
        # Enterprise Linux has no ShellCheck of its own.
        Family.FEDORA: Names(("gdb", "strace"), optional=("ShellCheck", "valgrind")),
        # Alpine builds neither for each of its architectures.
        Family.ALPINE: Names(("gdb", "strace"), optional=("shellcheck", "valgrind")),
    }
)
"""What `dev = true` adds."""
