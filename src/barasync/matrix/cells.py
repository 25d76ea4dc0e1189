"""Cells: one architecture in one configuration, with everything an attempt needs to know.

The command line may want several of each: one for every rule (`--rule-each`), and each so many
times (`--repeat`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from barasync.config.policies import Policy
from barasync.config.schema import CellSettings
from barasync.matrix.platforms import Platform

_NO_PART_OF_AN_ID = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One container to run.

    `id` is stable, shell-safe and unique within a plan (`arm64-release`, or `arm64` where there is
    no configuration axis); `arch` is the name of the architecture in `id`; `provenance` maps each
    setting to the layer that decided it (`"timeout": "barasync.toml: config.release.timeout"`), and
    `env.NAME` for each variable. `policy` is what `settings.network` names; `None` for a mode of
    podman's. `rule` is what it runs instead of the plan's rule, and `repetition` which one it is of
    several that are the same, from 1 on; `None` where the command line wants neither.
    """

    id: str
    arch: str
    platform: Platform
    config: str | None
    settings: CellSettings
    provenance: Mapping[str, str]
    policy: Policy | None = None
    rule: str | None = None
    repetition: int | None = None

    @property
    def matrix_id(self) -> str:
        """The id of the cell of the matrix that this one is, for a rule or once more."""
        return cell_id(self.arch, self.config)


def cell_id(
    arch: str, config: str | None, rule: str | None = None, repetition: int | None = None
) -> str:
    """Return the id of a cell: `arm64-release-lint-2`, without what there is none of.

    `arch` has no hyphen, so the first one ends it. What cannot stand in a file name or a shell word
    of the name of a rule is `_`.
    """
    word = None if rule is None else _NO_PART_OF_AN_ID.sub("_", rule)
    number = None if repetition is None else str(repetition)
    return "-".join(part for part in (arch, config, word, number) if part is not None)
