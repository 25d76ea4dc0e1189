"""What the cells of a plan may not ask of their networks, each alone and all together."""

from __future__ import annotations

from collections.abc import Iterable

from barasync.config.capabilities import LIFTING
from barasync.config.policies import Mode, PublishedPort
from barasync.config.publishing import clash, where
from barasync.errors import ConfigError
from barasync.matrix.cells import Cell


def require_networks(cells: Iterable[Cell], *, allow_host: bool) -> None:
    """Raise for the first cell that cannot have its network as it is.

    `allow_host` says that whoever starts the run lets cells have the network of the host.

    Raises:
        ConfigError: it is the host's, and that is not allowed; a capability of the cell would lift
            the rules of its policy; or another cell has the port of the host that it publishes.
    """
    taken: list[tuple[PublishedPort, str, str]] = []
    for cell in cells:
        if cell.settings.network == Mode.HOST and not allow_host:
            raise ConfigError(
                f"{cell.provenance['network']}: cell {cell.id} would have the network of this host,"
                " and reach everything that listens there, its loopback included",
                hint="allow that with --allow-host-network, or take another network",
            )
        _refuse_lifting(cell)
        _refuse_clash(cell, taken)


def _refuse_lifting(cell: Cell) -> None:
    if cell.policy is None:
        return
    for capability in cell.settings.cap_add:
        if capability in LIFTING:
            raise ConfigError(
                f"{cell.provenance['cap_add']}: with {capability} cell {cell.id} would not be held"
                f" by its network '{cell.policy.name}', because it {LIFTING[capability]}",
                hint="leave the capability out, or give the cell `network = 'none'` or 'bridge',"
                " which have no rules",
            )


def _refuse_clash(cell: Cell, taken: list[tuple[PublishedPort, str, str]]) -> None:
    """Refuse a port of the host that is in `taken` with a cell and its network; add the cell's."""
    if cell.policy is None:
        return
    network = cell.policy.name
    for port in cell.policy.ports:
        for other, holder, its_network in taken:
            if clash(port, other):
                networks = " and ".join(f"'{name}'" for name in sorted({its_network, network}))
                said = "" if port.where else " of `ports`"
                raise ConfigError(
                    f"{port.where or cell.provenance['network']}: the cells {holder} and {cell.id}"
                    f" would both have {where(port)} of the host, by the network {networks}",
                    hint=f'leave the host\'s port out{said} ("{port.container}"), and each'
                    " cell gets one that is free, or --select one cell",
                )
    taken.extend((port, cell.id, network) for port in cell.policy.ports if port.host)
