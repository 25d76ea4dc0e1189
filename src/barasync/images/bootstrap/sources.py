"""Where packages come from: the mirrors, suites and keys of each distribution, as apt takes them.

Source: sources.list(5); https://snapshot.debian.org and https://snapshot.ubuntu.com for snapshots.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

SNAPSHOT = "{snapshot}"
"""What stands for the date of the snapshot in a mirror's address."""

_SNAPSHOT_FORMAT = "%Y%m%dT%H%M%SZ"

_MIRROR = re.compile(r"https?://[^\s\[\]/]+(?:/[^\s\[\]]*)?(?: [a-z0-9][a-z0-9.+_/-]*)?")

_UNSTABLE = "sid"
_ROLLING = frozenset({"sid", "unstable", "experimental", "rc-buggy"})
"""Suites of Debian that have no suites of updates beside them."""
_UNSETTLED = frozenset({"riscv64", "loong64"})
"""Young ports of Debian: mirrors carry stable indices of them that do not match, or none."""


@dataclass(frozen=True, slots=True)
class Source:
    """A suite to take the packages from, and the lines of sources.list without their keys.

    `suite` is the one that the image is said to be made from.
    """

    suite: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Where a distribution has its packages, by default.

    `mirror` and `security` are for the architectures in `main`, `ports` for all others. `keyring`
    is where the distribution's own package puts its keys. Updates of security are a suite of the
    mirror itself where `security` is empty.
    """

    mirror: str
    snapshot: str
    components: tuple[str, ...]
    keyring: str
    security: str = ""
    security_snapshot: str = ""
    ports: str = ""
    main: frozenset[str] = frozenset()

    def mirrors(self, suite: str, architecture: str, *, pinned: bool) -> tuple[str, ...]:
        """Return what a declaration without mirrors means: `URL SUITE`, updates included.

        `architecture` is Debian's name of it; `pinned` says that there is a snapshot.
        """
        mirror, security = self.mirror, self.security
        if pinned:
            mirror, security = self.snapshot, self.security_snapshot
        elif self.ports and architecture not in self.main:
            mirror = self.ports
        if suite in _ROLLING or "-" in suite:
            return (f"{mirror} {suite}",)
        return (
            f"{mirror} {suite}",
            f"{mirror} {suite}-updates",
            f"{security or mirror} {suite}-security",
        )


DISTRIBUTIONS: Mapping[str, Distribution] = MappingProxyType(
    {
        "debian": Distribution(
            mirror="http://deb.debian.org/debian",
            security="http://security.debian.org/debian-security",
            snapshot=f"http://snapshot.debian.org/archive/debian/{SNAPSHOT}",
            security_snapshot=f"http://snapshot.debian.org/archive/debian-security/{SNAPSHOT}",
            components=("main",),
            keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
        ),
        "ubuntu": Distribution(
            mirror="http://archive.ubuntu.com/ubuntu",
            ports="http://ports.ubuntu.com/ubuntu-ports",
            main=frozenset({"amd64", "i386"}),
            snapshot=f"http://snapshot.ubuntu.com/ubuntu/{SNAPSHOT}",
            components=("main", "universe"),
            keyring="/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        ),
    }
)


def is_mirror(text: str) -> bool:
    """Tell whether `text` is the address of a mirror, perhaps followed by a suite.

    A password in it is refused as well: the image's own sources.list would tell it.
    """
    return _MIRROR.fullmatch(text) is not None and "@" not in text.split("/")[2]


def snapshot_seconds(text: str) -> int | None:
    """Return the date of a snapshot in seconds since 1970, `None` if it is no such date."""
    try:
        date = datetime.strptime(text, _SNAPSHOT_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(date.timestamp()) if date.strftime(_SNAPSHOT_FORMAT) == text else None


def source(
    suite: str, mirrors: tuple[str, ...], components: tuple[str, ...], snapshot: str
) -> Source:
    """Return the source of a suite; a mirror is `URL` or `URL SUITE`, the date still to fill in."""
    lines = []
    for mirror in mirrors:
        url, _, its = mirror.replace(SNAPSHOT, snapshot).partition(" ")
        lines.append(f"{url} {its or suite} {' '.join(components)}")
    return Source(suite, tuple(lines))


def fallback(distribution: str, architecture: str) -> str | None:
    """Return the suite to turn to where a mirror's index of a young port is no good."""
    return _UNSTABLE if distribution == "debian" and architecture in _UNSETTLED else None
