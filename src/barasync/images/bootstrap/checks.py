"""From a declared table to a recipe: what may be written there, and what it means."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from msgspec import UNSET

from barasync.config.schema import BootstrapTable, BootstrapVariant
from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError, ImageError
from barasync.images.bootstrap.recipe import Recipe
from barasync.images.bootstrap.sources import DISTRIBUTIONS, is_mirror, snapshot_seconds
from barasync.matrix.platforms import ARCHITECTURES, Platform, describe

_SHELL = ("base-files", "base-passwd", "bash", "coreutils", "dash", "libc-bin")
"""What makes `sh` and `bash` work, and a user database and `env` with them."""

_DPKG = ("diffutils", "dpkg", "findutils", "grep", "sed", "tar")
"""What dpkg and the scripts of the former need besides, to be installed."""

_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|-+)[a-z0-9]+)*")
_SUITE = re.compile(r"[a-z0-9][a-z0-9.+_-]*")
_COMPONENT = re.compile(r"[a-z0-9][a-z0-9./_-]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?(?:[=/][A-Za-z0-9.+:~-]+)?")
_KEYRING = re.compile(r"/[A-Za-z0-9._/+-]+\.(?:gpg|asc)")


def recipe_for(name: str, spec: BootstrapTable, platform: Platform) -> Recipe:
    """Return the recipe of the declared image `name` for a platform.

    Reads the keyring `signed_by`, if there is one.

    Raises:
        ConfigError: the name or a value of the table cannot be meant; the message names the key.
        ImageError: the distribution has no port to the platform.
    """
    where = f"images.{name}.bootstrap"
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"images.{name}: '{name}' cannot name an image; "
            "use lower-case letters, digits, '.', '_' and '-'"
        )
    if spec.distribution not in DISTRIBUTIONS:
        raise ConfigError(
            f"{where}.distribution: unknown distribution '{spec.distribution}'"
            f"{did_you_mean(spec.distribution, DISTRIBUTIONS)}",
            hint=f"known: {', '.join(DISTRIBUTIONS)}",
        )
    _check_words(spec, where)
    debian = describe(platform).debian
    if debian is None:
        raise ImageError(
            f"image '{name}' cannot be made for {platform}: Debian has no port to it",
            hint=f"ports: {', '.join(row.name for row in ARCHITECTURES if row.debian)}",
        )
    signed_by = "" if spec.signed_by is UNSET else spec.signed_by
    return Recipe(
        name=name,
        distribution=spec.distribution,
        suite=spec.suite,
        packages=tuple(sorted({*spec.packages, *_foundation(spec.variant)})),
        platform=platform,
        debian=debian,
        variant=spec.variant,
        mirrors=tuple(mirror.rstrip("/") for mirror in spec.mirrors),
        components=tuple(spec.components),
        signed_by=signed_by,
        key_digest=_digest(signed_by, where) if signed_by else "",
        allow_expired=spec.allow_expired,
        snapshot="" if spec.snapshot is UNSET else spec.snapshot,
    )


def _foundation(variant: BootstrapVariant) -> tuple[str, ...]:
    """Return the packages that a variant is to have and does not bring by itself."""
    if variant is BootstrapVariant.EXTRACT:
        return _SHELL
    return (*_SHELL, *_DPKG) if variant is BootstrapVariant.CUSTOM else ()


def _check_words(spec: BootstrapTable, where: str) -> None:
    if _SUITE.fullmatch(spec.suite) is None:
        raise ConfigError(f"{where}.suite: '{spec.suite}' is not the name of a suite")
    for package in spec.packages:
        if _PACKAGE.fullmatch(package) is None:
            raise ConfigError(f"{where}.packages: '{package}' is not the name of a package")
    for component in spec.components:
        if _COMPONENT.fullmatch(component) is None:
            raise ConfigError(f"{where}.components: '{component}' is not the name of a component")
    for mirror in spec.mirrors:
        if not is_mirror(mirror):
            raise ConfigError(
                f"{where}.mirrors: '{mirror}' is not the address of a mirror",
                hint='write "http://HOST/PATH", or "http://HOST/PATH SUITE" for another suite; '
                "without a password, which the image would tell",
            )
    if spec.snapshot is not UNSET and snapshot_seconds(spec.snapshot) is None:
        raise ConfigError(
            f"{where}.snapshot: '{spec.snapshot}' is not the date of a snapshot",
            hint="write year, month, day and time in UTC as 20260131T000000Z",
        )
    if spec.signed_by is not UNSET and _KEYRING.fullmatch(spec.signed_by) is None:
        raise ConfigError(
            f"{where}.signed_by: '{spec.signed_by}' is not the path of a keyring",
            hint="write the absolute path of a file *.gpg or *.asc; apt takes no spaces in it",
        )


def _digest(keyring: str, where: str) -> str:
    try:
        return sha256(Path(keyring).read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(
            f"{where}.signed_by: {keyring} cannot be read: {error.strerror}"
        ) from error
