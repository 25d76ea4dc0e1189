"""Which package of this host's distribution brings a program, as a command to type.

Source: os-release(5).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Tool(StrEnum):
    """A program of the host that barasync calls or needs the files of."""

    EMULATORS = "QEMU's static user-mode emulators"
    MMDEBSTRAP = "mmdebstrap"
    DEBIAN_KEYRING = "the keyring of Debian's archive"
    UBUNTU_KEYRING = "the keyring of Ubuntu's archive"


_COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "debian": "apt-get install",
        "fedora": "dnf install",
        "arch": "pacman -S",
        "suse": "zypper install",
    }
)

_PACKAGES: Mapping[Tool, Mapping[str, str]] = MappingProxyType(
    {
        Tool.EMULATORS: {
            "debian": "qemu-user-static",
            "fedora": "qemu-user-static",
            "arch": "qemu-user-static qemu-user-static-binfmt",
            "suse": "qemu-linux-user",
        },
        Tool.MMDEBSTRAP: {
            "debian": "mmdebstrap debian-archive-keyring",
            "fedora": "mmdebstrap apt debian-keyring",
        },
        Tool.DEBIAN_KEYRING: {
            "debian": "debian-archive-keyring",
            "fedora": "debian-keyring",
            "arch": "debian-archive-keyring",
        },
        # On Ubuntu it is always there.
        Tool.UBUNTU_KEYRING: {
            "debian": "ubuntu-archive-keyring",
            "fedora": "ubu-keyring",
            "arch": "ubuntu-keyring",
        },
    }
)
_SINCE: Mapping[tuple[Tool, str], int] = MappingProxyType({(Tool.UBUNTU_KEYRING, "debian"): 13})
"""The release of a distribution that had a package first, where an older one is in use."""


def parse_os_release(text: str) -> dict[str, str]:
    """Return the assignments of an os-release file, quoting removed; other lines are left out."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or not name.isidentifier():
            continue
        try:
            fields[name] = "".join(shlex.split(value))
        except ValueError:
            continue
    return fields


def install_command(tool: Tool, os_release: str) -> str | None:
    """Return what to type on the host that `os_release` describes to get `tool`.

    `os_release` is the text of the file; a distribution that is not known itself is judged by the
    ones it says it is like. `None` when none of them is known to have the package.
    """
    fields = parse_os_release(os_release)
    names = [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]
    release = fields.get("VERSION_ID", "")
    for name in names:
        package = _PACKAGES[tool].get(name)
        is_older = release.isdecimal() and int(release) < _SINCE.get((tool, name), 0)
        if package is not None and not (name == names[0] and is_older):
            return f"{_COMMANDS[name]} {package}"
    return None
