"""A plan as plain data and as rows of text, for `--plan`; rendering is the command line's."""

from __future__ import annotations

import shlex
from enum import StrEnum
from typing import Any

from barasync.config.sizes import format_size
from barasync.config.values import SETTINGS
from barasync.matrix.cells import Cell
from barasync.matrix.command import expand
from barasync.matrix.plan import Plan

COLUMNS = (
    "CELL",
    "PLATFORM",
    "IMAGE",
    "TIMEOUT",
    "MEMORY",
    "CPUS",
    "NETWORK",
    "WORKSPACE",
    "COMMAND",
)
_UNLIMITED = "-"


def as_data(plan: Plan, *, has_bar: bool = False) -> dict[str, Any]:
    """Return the plan as dicts, lists, strings, numbers and `None`.

    Each cell has its command expanded, and each setting with its value and source: seconds, bytes
    and cores, `None` for no limit. `settings.env` maps each variable to its value and source.
    `policy` is what the cell's network means, `None` for one of podman's without rules. `rule` and
    `repetition` are those of a cell that has its own.
    `has_bar` says that the project brings its own `./bar`.
    """
    return {
        "rule": plan.rule,
        "args": list(plan.args),
        "cells": [
            {
                "id": cell.id,
                "arch": cell.arch,
                "platform": str(cell.platform),
                "config": cell.config,
                "rule": cell.rule,
                "repetition": cell.repetition,
                "image": cell.settings.image,
                "command": list(expand(cell, rule=plan.rule, args=plan.args, has_bar=has_bar)),
                "settings": _settings(cell),
                "policy": None if cell.policy is None else cell.policy.as_data(),
            }
            for cell in plan.cells
        ],
        "notes": list(plan.notes),
    }


def as_rows(plan: Plan, *, has_bar: bool = False) -> list[tuple[str, ...]]:
    """Return a row of text per cell, in the order of `COLUMNS`."""
    return [
        (
            cell.id,
            str(cell.platform),
            cell.settings.image,
            _seconds(cell.settings.timeout),
            _UNLIMITED if cell.settings.memory is None else format_size(cell.settings.memory),
            _UNLIMITED if cell.settings.cpus is None else f"{cell.settings.cpus:g}",
            cell.settings.network,
            cell.settings.workspace.value,
            shlex.join(expand(cell, rule=plan.rule, args=plan.args, has_bar=has_bar)),
        )
        for cell in plan.cells
    ]


def _settings(cell: Cell) -> dict[str, Any]:
    return {name: _setting(cell, name) for name in SETTINGS}


def _setting(cell: Cell, name: str) -> dict[str, Any]:
    value = getattr(cell.settings, name)
    if name == "env":
        return {
            key: {"value": text, "source": cell.provenance[f"env.{key}"]}
            for key, text in value.items()
        }
    if name == "services":
        value = tuple(service.as_data() for service in value)
    plain = list(value) if isinstance(value, tuple) else value
    return {
        "value": str(plain) if isinstance(plain, StrEnum) else plain,
        "source": cell.provenance[name],
    }


def _seconds(timeout: float | None) -> str:
    if timeout is None:
        return _UNLIMITED
    return f"{timeout:.0f}s" if timeout.is_integer() else f"{timeout}s"
