"""What goes into a bootstrapped image, and by what name it is found again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Literal

from barasync.config.schema import BootstrapTable
from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError, ImageError
from barasync.matrix.platforms import ARCHITECTURES, Platform, describe, short_name

KEY_LABEL = "barasync.key"
SUITE_LABEL = "barasync.suite"

Mode = Literal["root", "unshare"]
"""How mmdebstrap gets the privileges it needs: it has them, or it makes a user namespace."""

_REPOSITORY = "localhost/barasync"
_SHORT = 12
_VERSION = 1
"""Raised when an image of the same packages and scripts comes out differently."""

_DISTRIBUTIONS = ("debian", "ubuntu")
_ESSENTIAL = ("base-files", "base-passwd", "bash", "coreutils", "dash", "libc-bin")
"""What makes `sh` and `bash` work, and a user database and `env` with them."""

_UNSTABLE = "sid"
_UNSETTLED = frozenset({"riscv64", "loong64"})
"""Young ports of Debian: mirrors carry stable indices of them that do not match, or none."""

_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|-+)[a-z0-9]+)*")
_SUITE = re.compile(r"[a-z0-9][a-z0-9.+_-]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?(?:[=/][A-Za-z0-9.+:~-]+)?")

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Source:
    """A suite to take the packages from; `expired` says that an old index of it will do."""

    suite: str
    expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A bootstrapped image of one platform, before it is made; `recipe_for` makes one.

    `packages` are sorted, without duplicates, the essential ones among them. `debian` is Debian's
    name of the architecture.
    """

    name: str
    distribution: str
    suite: str
    packages: tuple[str, ...]
    platform: Platform
    debian: str

    @property
    def key(self) -> str:
        """The identity of what comes out: equal recipes have equal keys, 64 hexadecimal digits."""
        ingredients = {
            "version": _VERSION,
            "distribution": self.distribution,
            "suite": self.suite,
            "packages": self.packages,
            "platform": str(self.platform),
            "scripts": [_script("prepare"), _script("finish")],
        }
        return sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()

    @property
    def tag(self) -> str:
        """The architecture and the beginning of the key, `arm64-1f3a5c7e9b0d`."""
        return f"{short_name(self.platform)}-{self.key[:_SHORT]}"

    @property
    def reference(self) -> str:
        """The name of the image, `localhost/barasync/NAME:TAG`."""
        return f"{_REPOSITORY}/{self.name}:{self.tag}"

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where to take the packages from, and where else if the index there is no good."""
        declared = Source(self.suite)
        unsettled = self.platform.architecture in _UNSETTLED
        if self.distribution == "debian" and unsettled:
            return declared, Source(_UNSTABLE, expired=True)
        return (declared,)

    def command(self, source: Source, mode: Mode) -> list[str]:
        """Return the command that writes the root file system to its standard output, as tar.

        Nothing is mounted into the root and no device files are made: neither is needed to unpack
        packages, and a mount would be a danger to whoever removes the directory.
        """
        options = ['Acquire::Languages "none"', 'Acquire::Retries "3"']
        if source.expired:
            options.append('Acquire::Check-Valid-Until "false"')
        return [
            "mmdebstrap",
            f"--mode={mode}",
            "--variant=extract",
            "--format=tar",
            f"--architectures={self.debian}",
            f"--include={','.join(self.packages)}",
            "--skip=output/dev,chroot/mount,cleanup/run",
            *(f"--aptopt={option}" for option in options),
            f"--setup-hook={_script('prepare')}",
            f"--extract-hook={_script('finish')}",
            "--",
            source.suite,
            "-",
        ]

    def changes(self, labels: dict[str, str]) -> tuple[str, ...]:
        """Return the Containerfile instructions that go with the root file system."""
        return (
            f"ENV PATH={_PATH}",
            'CMD ["/bin/bash"]',
            *(f"LABEL {name}={json.dumps(value)}" for name, value in sorted(labels.items())),
        )


def recipe_for(name: str, spec: BootstrapTable, platform: Platform) -> Recipe:
    """Return the recipe of the declared image `name` for a platform.

    Raises:
        ConfigError: The name, the distribution, the suite or a package cannot be meant.
        ImageError: The distribution has no port to the platform.
    """
    where = f"images.{name}.bootstrap"
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"images.{name}: '{name}' cannot name an image; "
            "use lower-case letters, digits, '.', '_' and '-'"
        )
    if spec.distribution not in _DISTRIBUTIONS:
        raise ConfigError(
            f"{where}.distribution: unknown distribution '{spec.distribution}'"
            f"{did_you_mean(spec.distribution, _DISTRIBUTIONS)}",
            hint=f"known: {', '.join(_DISTRIBUTIONS)}",
        )
    if _SUITE.fullmatch(spec.suite) is None:
        raise ConfigError(f"{where}.suite: '{spec.suite}' is not the name of a suite")
    for package in spec.packages:
        if _PACKAGE.fullmatch(package) is None:
            raise ConfigError(f"{where}.packages: '{package}' is not the name of a package")
    debian = describe(platform).debian
    if debian is None:
        raise ImageError(
            f"image '{name}' cannot be made for {platform}: Debian has no port to it",
            hint=f"ports: {', '.join(row.name for row in ARCHITECTURES if row.debian)}",
        )
    return Recipe(
        name=name,
        distribution=spec.distribution,
        suite=spec.suite,
        packages=tuple(sorted({*spec.packages, *_ESSENTIAL})),
        platform=platform,
        debian=debian,
    )


@cache
def _script(name: str) -> str:
    """Return one of the scripts that mmdebstrap runs on the root directory.

    They go along as text: in a user namespace mmdebstrap may not be able to read our files.
    """
    return files(__package__).joinpath(f"{name}.sh").read_text(encoding="utf-8")
