"""Sentences for a person about what in a plan probably is a slip."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from barasync.config.schema import Document
from barasync.config.spelling import closest, did_you_mean
from barasync.matrix.cells import Cell
from barasync.matrix.command import uses

_MOST_NAMED = 6


def image_notes(cells: Iterable[Cell], document: Document) -> list[str]:
    """Note an image that is not declared but nearly: it would be looked for in a registry."""
    notes = []
    for image in dict.fromkeys(_images_of(cells)):
        if image in document.images or any(mark in image for mark in "/:@"):
            continue
        meant = closest(image, document.images, similarity=0.8)
        if meant is not None:
            notes.append(
                f"image '{image}' is not declared in [images] and is taken as a reference; "
                f"did you mean '{meant}'?"
            )
    return notes


def name_notes(name: str, cells: Iterable[str], document: Document) -> list[str]:
    """Note a name that is neither a cell nor a declared image, nor a whole reference."""
    if name in document.images or any(mark in name for mark in "/:@"):
        return []
    known = list(cells)
    hint = did_you_mean(name, [*known, *document.images])
    if not hint:
        more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
        hint = f"; the cells are {', '.join(known[:_MOST_NAMED])}{more}"
    said = f"there is no cell '{name}', and no image of that name is declared"
    return [f"{said}: it is taken as a reference{hint}"]


def _images_of(cells: Iterable[Cell]) -> Iterable[str]:
    for cell in cells:
        yield cell.settings.image
        yield from (service.image for service in cell.settings.services)


def argument_notes(cells: Iterable[Cell], args: Sequence[str]) -> list[str]:
    """Note arguments that no command of some cells takes."""
    if not args:
        return []
    places = dict.fromkeys(
        cell.provenance["command"] for cell in cells if not uses(cell.settings.command, "args")
    )
    given = shlex.join(args)
    return [f"{place} has no {{args}}, so '{given}' does not reach it" for place in places]


def rule_notes(cells: Iterable[Cell], rules: Sequence[str]) -> list[str]:
    """Note a command that is the same whichever of several rules it is for."""
    if not rules:
        return []
    places = dict.fromkeys(
        cell.provenance["command"] for cell in cells if not uses(cell.settings.command, "rule")
    )
    return [f"{place} has no {{rule}}: it executes the same for every rule" for place in places]
