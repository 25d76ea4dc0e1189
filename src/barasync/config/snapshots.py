"""What `--snapshot NAME:TAG` means: a name for each cell, all of them checked before a run."""

from __future__ import annotations

from collections.abc import Sequence

from barasync.aiopodman import InvalidReference, Reference, parse_reference
from barasync.errors import ConfigError

CELL = "{cell}"

_OWN = "localhost/barasync/"
_LOCAL = "localhost"
_LATEST = "latest"


def parse_snapshot(text: str, where: str) -> Reference:
    """Read the name of an image that is to be made; `where` is the option or argument.

    It comes back as podman keeps it: on `localhost` where no registry is named, and with a tag.

    Raises:
        ConfigError: it is no name for an image, or one of those that barasync gives by itself.
    """
    try:
        parsed = parse_reference(text)
    except InvalidReference as error:
        raise ConfigError(
            f"{where}: {error}", hint="write NAME:TAG, such as broken:arm64"
        ) from None
    if parsed.digest:
        raise ConfigError(f"{where}: {text!r}: a digest cannot be given to a new image")
    name = Reference(parsed.registry or _LOCAL, parsed.repository, parsed.tag or _LATEST)
    if str(name).startswith(_OWN):
        raise ConfigError(
            f"{where}: {text!r}: names below {_OWN} are for what barasync makes by itself",
            hint="choose another name",
        )
    return name


def snapshots_of(text: str, cells: Sequence[str]) -> dict[str, Reference]:
    """Read `--snapshot NAME:TAG` for the cells of these IDs; no two get the same name.

    `{cell}` stands for the ID of the cell; where it is missing and there are several cells the ID
    is appended.

    Raises:
        ConfigError: as `parse_snapshot`, for any of the cells.
    """
    template = text if CELL in text or len(cells) == 1 else f"{_with_tag(text)}-{CELL}"
    names = {cell: parse_snapshot(template.replace(CELL, cell), "--snapshot") for cell in cells}
    assert len(set(map(str, names.values()))) == len(cells), "the IDs of cells are unique"
    return names


def _with_tag(text: str) -> str:
    tag = parse_snapshot(text, "--snapshot").tag
    return text if text.endswith(f":{tag}") else f"{text}:{tag}"
