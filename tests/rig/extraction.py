"""An extraction whose manifest outlives its ledger."""

from __future__ import annotations

from contextlib import closing, nullcontext
from dataclasses import replace as changed
from pathlib import Path

from barasync.artifacts.budget import Share
from barasync.artifacts.extract import Limits, extract
from barasync.artifacts.ledger import Ledger
from barasync.artifacts.manifest import Manifest
from barasync.artifacts.place import below
from barasync.artifacts.selection import Selection
from barasync.artifacts.tarstream import Read


def extracted(
    read: Read,
    destination: Path,
    limits: Limits,
    *,
    share: Share | None = None,
    selection: Selection | None = None,
    rooted: bool = False,
    packed: bool = False,
    spread: bool = False,
    replace: bool = False,
) -> Manifest:
    """Call `extract` with what reads; the entries of the manifest are a tuple."""
    with closing(Ledger()) as ledger, below(destination.parent) as directory:
        manifest = extract(
            lambda: nullcontext(read),
            directory / destination.name,
            limits,
            ledger,
            share=share,
            selection=selection,
            rooted=rooted,
            packed=packed,
            spread=spread,
            replace=replace,
        )
        return changed(manifest, entries=tuple(manifest.entries))
