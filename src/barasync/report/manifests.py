"""The manifest of a cell's artifacts: `artifacts.json`, every file and link that was collected.

What an entry says of a file was found out while its bytes went to disk: nothing is read again.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from barasync.artifacts.collect import Collection
from barasync.artifacts.manifest import Entry
from barasync.report import jsonl
from barasync.report.files import written_whole

SCHEMA_VERSION = 1


class ManifestEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    r"""A file, directory or symbolic link that was collected.

    `path` is relative to the document's `directory`. `mode` is in octal digits, `size` in bytes and
    `sha256` in hexadecimal of a file's content; a hard link is a file of its own here. `target` is
    where a symbolic link points. Bytes that are not UTF-8 are escapes in `path` and `target`
    (`\udce9`); then the true bytes are in `path_base64` and `target_base64`.
    """

    path: str
    kind: str
    mode: str
    size: int | None = None
    sha256: str | None = None
    target: str | None = None
    path_base64: str | None = None
    target_base64: str | None = None


class ManifestDocument(msgspec.Struct, frozen=True, kw_only=True):
    """All that was collected of an attempt of a cell: what `artifacts.json` holds.

    `schema` changes when a field changes its meaning or goes away, not when one is added.
    `directory` is absolute. Entries are in the order of their archives; of those that were left out
    `result.json` tells.
    """

    schema: int
    run: str
    cell: str
    attempt: int
    directory: str
    entries: tuple[ManifestEntry, ...]


def write_manifest(path: Path, run: str, cell: str, attempt: int, collection: Collection) -> None:
    """Write the manifest of a collection, in one step: readers see all of it or none; blocking.

    An entry is a line of its own, and one at a time is held in memory.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    document = ManifestDocument(
        schema=SCHEMA_VERSION,
        run=run,
        cell=cell,
        attempt=attempt,
        directory=str(collection.directory),
        entries=(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        _write(file, document, _entries(collection))


def _write(file: BinaryIO, document: ManifestDocument, entries: Iterator[ManifestEntry]) -> None:
    head = jsonl.encode(document).removesuffix(b"]}")
    separator = b"\n"
    file.write(head)
    for entry in entries:
        file.write(separator + jsonl.encode(entry))
        separator = b",\n"
    file.write(b"\n]}\n")


def _entries(collection: Collection) -> Iterator[ManifestEntry]:
    for place, manifest in collection.manifests:
        for entry in manifest.entries:
            yield _described(f"{place}/{entry.path}" if entry.path else place, entry)


def _described(path: str, entry: Entry) -> ManifestEntry:
    optional: dict[str, Any] = {}
    if entry.sha256 is not None:
        optional.update(size=entry.size, sha256=entry.sha256)
    if entry.target is not None:
        optional.update(target=entry.target, target_base64=_base64(entry.target))
    return ManifestEntry(
        path=path,
        path_base64=_base64(path),
        kind=entry.kind.value,
        mode=f"{entry.mode:04o}",
        **optional,
    )


def _base64(name: str) -> str | None:
    """Return the bytes of a name, `None` where they are UTF-8 and need no second spelling."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return base64.b64encode(name.encode("utf-8", "surrogateescape")).decode()
    return None
