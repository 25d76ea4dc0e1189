"""What the cells of a plan may not ask of their services."""

from __future__ import annotations

from collections.abc import Iterable

from barasync.config.policies import Mode, Preset
from barasync.errors import ConfigError
from barasync.matrix.cells import Cell


def require_services(cells: Iterable[Cell]) -> None:
    """Raise for the first cell that would not find its services.

    Raises:
        ConfigError: its network has no loopback interface, over which it would, or shares that with
            the host and with every other cell.
    """
    for cell in cells:
        if not cell.settings.services:
            continue
        if cell.settings.network == Mode.HOST:
            raise ConfigError(
                f"{cell.provenance['services']}: cell {cell.id} has services and the network of the"
                " host, where they would be everybody's",
                hint="give the cell another network, such as 'private' or 'local'",
            )
        policy = cell.policy
        if policy is not None and policy.base is Preset.ISOLATED:
            alike = "" if policy.name == Preset.ISOLATED else " as the `base` of its network"
            raise ConfigError(
                f"{cell.provenance['services']}: cell {cell.id} has services, which it would reach"
                f" over the loopback interface, and its network '{policy.name}' has none",
                hint=f"take 'local'{alike}: it has that interface and nothing else",
            )
