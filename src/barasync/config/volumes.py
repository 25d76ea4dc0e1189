"""Volumes as people write them: `SRC:DST[:OPTIONS]`."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import PurePath

from barasync.config.spelling import did_you_mean

KERNELS = ("/proc", "/sys", "/dev")
"""File systems of the kernel that podman mounts in every container."""

PODMANS = (
    *KERNELS,
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/run/.containerenv",
    "/run/secrets",
)
"""Mounted by podman in every container, over what the container's own files have there."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# Source: podman-run(1), "--volume", without those that need more than a mount (O, upperdir, idmap).
OPTIONS = (
    *(
        "ro",
        "rw",
        "z",
        "Z",
        "U",
        "exec",
        "noexec",
        "dev",
        "nodev",
        "suid",
        "nosuid",
        "copy",
        "nocopy",
    ),
    *("bind", "rbind", "shared", "rshared", "slave", "rslave", "private", "rprivate"),
)


@dataclass(frozen=True, slots=True)
class Volume:
    """A directory or named volume in a cell.

    `source` is an absolute path, a relative one that begins with `./` or `../`, or the name of a
    volume; `destination` is absolute and normalised.
    """

    source: str
    destination: str
    options: tuple[str, ...] = ()


def parse_volume(text: str) -> Volume:
    """Return the parts of `SRC:DST[:OPTIONS]`.

    Raises:
        ValueError: the text is not a volume; the message says which part is wrong.
    """
    parts = text.split(":")
    if len(parts) not in (2, 3) or "" in parts or "\0" in text:
        raise ValueError(f"{text!r} is not a volume; write 'SOURCE:DESTINATION' or '…:ro'")
    source, destination = parts[0], parts[1]
    options = tuple(parts[2].split(",")) if len(parts) == 3 else ()  # noqa: PLR2004 the third part
    is_path = source.startswith(("/", "./", "../")) or source in {".", ".."}
    if not is_path and _NAME.fullmatch(source) is None:
        raise ValueError(
            f"{text!r}: the source {source!r} is neither a path that begins with '/' or './' "
            "nor the name of a volume"
        )
    normalised = parse_destination(text, destination)
    if not is_path:
        refuse_podmans(text, normalised)
    for option in options:
        if option not in OPTIONS:
            suggestion = did_you_mean(option, OPTIONS)
            raise ValueError(f"{text!r}: unknown option {option!r}{suggestion}")
    return Volume(source, normalised, options)


def parse_destination(text: str, destination: str) -> str:
    """Return the normalised destination of `text`, which puts something there.

    Raises:
        ValueError: it is not an absolute path below the root.
    """
    if not destination.startswith("/"):
        raise ValueError(f"{text!r}: the destination {destination!r} is not an absolute path")
    normalised = "/" + posixpath.normpath(destination).lstrip("/")
    if normalised == "/":
        raise ValueError(f"{text!r}: the destination is the container's root")
    return normalised


def refuse_podmans(text: str, destination: str) -> None:
    """Refuse a volume of podman's in the place of what every container has.

    A directory of the host may be meant to be there, as `/sys/fs/cgroup` is.

    Raises:
        ValueError: the destination is such a place, or below one.
    """
    for place in PODMANS:
        if destination == place or destination.startswith(f"{place}/"):
            raise ValueError(f"{text!r}: podman itself mounts {place} in every container")


def anchor_volume(text: str, directory: PurePath | None) -> str:
    """Return a volume with a relative source made absolute: it starts at `directory`.

    Raises:
        ValueError: the text is not a volume, or its source cannot be made absolute.
    """
    volume = parse_volume(text)
    if not volume.source.startswith("."):
        return text
    if directory is None:
        raise ValueError(f"{text!r}: a relative source has no folder to start at here")
    source = posixpath.normpath(directory / volume.source)
    if ":" in source:
        raise ValueError(f"{text!r}: the source {source!r} has a ':', which ends a source")
    return ":".join(filter(None, (source, volume.destination, ",".join(volume.options))))
