"""Cells: one architecture in one configuration, with everything an attempt needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from barasync.config.policies import Policy
from barasync.config.schema import CellSettings
from barasync.matrix.platforms import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One container to run.

    `id` is stable, shell-safe and unique within a plan (`arm64-release`, or `arm64` where there is
    no configuration axis); `arch` is the name of the architecture in `id`; `provenance` maps each
    setting to the layer that decided it (`"timeout": "barasync.toml: config.release.timeout"`), and
    `env.NAME` for each variable. `policy` is what `settings.network` names; `None` for a mode of
    podman's.
    """

    id: str
    arch: str
    platform: Platform
    config: str | None
    settings: CellSettings
    provenance: Mapping[str, str]
    policy: Policy | None = None


def cell_id(arch: str, config: str | None) -> str:
    """Return the id of a cell; `arch` has no hyphen, so the first one ends it."""
    return arch if config is None else f"{arch}-{config}"
