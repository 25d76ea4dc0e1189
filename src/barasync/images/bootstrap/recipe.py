"""What goes into a bootstrapped image, and by what name it is found again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Literal

from barasync.config.schema import BootstrapVariant
from barasync.images.bootstrap.sources import (
    DISTRIBUTIONS,
    Source,
    fallback,
    snapshot_seconds,
    source,
)
from barasync.matrix.platforms import Platform, short_name

SUITE_LABEL = "barasync.suite"

Mode = Literal["root", "unshare"]
"""How mmdebstrap works: as it is, or in namespaces of its own.

For an ordinary user these give the privileges it needs; for root they hold the mounts and the
processes of what is installed, so that none of them can outlive it.
"""

SCRATCH = "@SCRATCH@"
"""What stands for mmdebstrap's temporary directory in its command."""

_REPOSITORY = "localhost/barasync"
_SHORT = 12
_VERSION = 2
"""Raised when an image of the same packages and scripts comes out differently."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SCRIPTS = ("prepare", "policy", "finish", "keyring", "tidy")

_LEFT_OUT = ("man", "info", "locale", "lintian")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A bootstrapped image of one platform, before it is made; `checks.recipe_for` makes one.

    `packages` are sorted, without duplicates, what a shell takes among them where the variant does
    not bring it. `debian` is Debian's name of the architecture. `mirrors` are those declared; none
    means the distribution's own. `key_digest` is the SHA-256 of the keyring `signed_by`; both are
    empty where none was declared. `snapshot` is a date as `20260131T000000Z`, or empty.
    """

    name: str
    distribution: str
    suite: str
    packages: tuple[str, ...]
    platform: Platform
    debian: str
    variant: BootstrapVariant = BootstrapVariant.EXTRACT
    mirrors: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    signed_by: str = ""
    key_digest: str = ""
    allow_expired: bool = False
    snapshot: str = ""

    @property
    def key(self) -> str:
        """The identity of what comes out: equal recipes have equal keys, 64 hexadecimal digits."""
        ingredients = {
            "version": _VERSION,
            "distribution": self.distribution,
            "suite": self.suite,
            "packages": self.packages,
            "platform": str(self.platform),
            "variant": self.variant,
            "mirrors": self.mirrors,
            "components": self.components,
            "signed_by": (self.signed_by, self.key_digest),
            "allow_expired": self.allow_expired,
            "snapshot": self.snapshot,
            "scripts": [_script(name) for name in _SCRIPTS],
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
    def keyring(self) -> Path:
        """The keys on this host that the packages have to be signed with."""
        return Path(self.signed_by or DISTRIBUTIONS[self.distribution].keyring)

    @property
    def own_keyring(self) -> Path:
        """Where a copy of the declared keyring is to be, which apt's own user has to read."""
        return Path(SCRATCH, Path(self.signed_by).name)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where to take the packages from, and where else if the index there is no good.

        Who names mirrors or a date gets no other suite.
        """
        own = DISTRIBUTIONS[self.distribution]
        components = self.components or own.components
        pinned = bool(self.snapshot)
        mirrors = self.mirrors or own.mirrors(self.suite, self.debian, pinned=pinned)
        declared = source(self.suite, mirrors, components, self.snapshot)
        other = fallback(self.distribution, self.debian)
        if other is None or self.mirrors or pinned or other == self.suite:
            return (declared,)
        elsewhere = own.mirrors(other, self.debian, pinned=False)
        return declared, source(other, elsewhere, components, "")

    @property
    def environment(self) -> dict[str, str]:
        """What mmdebstrap's environment needs besides its temporary directory."""
        seconds = snapshot_seconds(self.snapshot)
        return {} if seconds is None else {"SOURCE_DATE_EPOCH": str(seconds)}

    def mode(self, *, root: bool) -> Mode:
        """Return how mmdebstrap is to work; `root` says whether this is the superuser."""
        return "root" if root and not self.variant.installs else "unshare"

    def command(self, origin: Source, mode: Mode, *, keyring: Path | None = None) -> list[str]:
        """Return the command that writes the root file system to its standard output, as tar.

        `keyring` is the only one whose keys count; those that apt trusts on this host count without
        it. To unpack packages nothing is mounted into the root and no device files are made:
        neither is needed, and a mount would be a danger to whoever removes the directory.
        """
        signed = "" if keyring is None else f"[signed-by={keyring}] "
        options = ['Acquire::Languages "none"', 'Acquire::Retries "3"']
        if self.allow_expired or self.snapshot:
            options.append('Acquire::Check-Valid-Until "false"')
        return [
            "mmdebstrap",
            f"--mode={mode}",
            f"--variant={self.variant}",
            "--format=tar",
            f"--architectures={self.debian}",
            *([f"--include={','.join(self.packages)}"] if self.packages else []),
            *(f"--aptopt={option}" for option in options),
            f"--setup-hook={_script('prepare')}",
            *(self._installing() if self.variant.installs else self._extracting()),
            "--",
            origin.suite,
            "-",
            *(f"deb {signed}{line}" for line in origin.lines),
        ]

    def _installing(self) -> tuple[str, ...]:
        """Return the options for packages that are installed; the keyring goes with them."""
        return (
            "--skip=output/dev,cleanup/run,check/qemu,check/signed-by,chroot/policy-rc.d",
            f"--setup-hook={_script('policy')}",
            *(f"--dpkgopt=path-exclude=/usr/share/{directory}/*" for directory in _LEFT_OUT),
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            f"--customize-hook={self._keyring_script}",
            f"--customize-hook={_script('tidy')}",
        )

    def _extracting(self) -> tuple[str, ...]:
        """Return the options for packages that are only unpacked."""
        return (
            "--skip=output/dev,chroot/mount,cleanup/run,check/qemu,check/signed-by",
            f"--extract-hook={_script('finish')}",
            f"--extract-hook={self._keyring_script}",
            f"--extract-hook={_script('tidy')}",
        )

    @property
    def _keyring_script(self) -> str:
        keyring = self.own_keyring if self.signed_by else ""
        return f"keyring='{keyring}' place='{self.signed_by}'\n{_script('keyring')}"

    def changes(self, labels: dict[str, str]) -> tuple[str, ...]:
        """Return the Containerfile instructions that go with the root file system."""
        return (
            f"ENV PATH={_PATH}",
            'CMD ["/bin/bash"]',
            *(f"LABEL {name}={json.dumps(value)}" for name, value in sorted(labels.items())),
        )


@cache
def _script(name: str) -> str:
    """Return one of the scripts that mmdebstrap runs on the root directory.

    They go along as text: in a user namespace mmdebstrap may not be able to read our files.
    """
    return files(__package__).joinpath(f"{name}.sh").read_text(encoding="utf-8")
