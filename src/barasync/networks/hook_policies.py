"""The policies of the OCI hook: tables `[network.NAME]`, kept where the hook reads them.

They are kept as JSON: the file that they come from may have anything else in it, and may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from barasync.config.load import load
from barasync.config.networks import parse_policies
from barasync.config.origin import Origin
from barasync.config.policies import PRESETS, Policy
from barasync.config.schema import Document, NetworkTable
from barasync.errors import ConfigError

_OF_PODMAN = ("ports", "hosts", "dns", "subnets", "internal", "ipv6", "join")


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds: the `tables`, and what to know of the hook it was written with.

    `python` is the program that the hook runs, `directories` are those that were made for it.
    """

    python: str
    directories: tuple[str, ...] = ()
    tables: dict[str, NetworkTable] = {}


def tables_of(path: Path) -> dict[str, NetworkTable]:
    """Return the tables of a configuration file, all of which the hook can enforce; blocking.

    Raises:
        ConfigError: the file or a table cannot be meant, there is none, or one has a host's name.
    """
    document = load(path)
    if not document.network:
        raise ConfigError(
            f"{path}: there is no table [network.NAME]",
            hint="without --policies the hook knows the presets",
        )
    for name, policy in _declared(document, Origin.of(path)).items():
        if policy.names:
            raise ConfigError(
                f"{Origin.of(path).key('network', name)}: the hook cannot enforce a policy with the"
                f" host name {policy.names[0]!r}: its addresses change, and nobody resolves it"
                " once the hook has ended",
                hint="name addresses or networks, or let `barasync run` or `matrix` start the cell",
            )
    return document.network


def left_to_podman(tables: Mapping[str, NetworkTable]) -> dict[str, list[str]]:
    """Return for each table what of it the options of `podman run` have to say, where there is."""
    found = {
        name: [key for key in _OF_PODMAN if getattr(table, key) is not msgspec.UNSET]
        for name, table in tables.items()
    }
    return {name: keys for name, keys in found.items() if keys}


def read_kept(path: Path) -> Kept:
    """Read what was kept; blocking.

    Raises:
        ConfigError: it cannot be read, or is not what `install-hook` has written.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint=_AGAIN) from None
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f"{path}: not as `barasync network install-hook` writes it: {error}", hint=_AGAIN
        ) from None


def read_policies(path: Path) -> dict[str, Policy]:
    """Return the policies that were kept, without the presets; blocking.

    Raises:
        ConfigError: they cannot be read.
    """
    return _declared(Document(network=read_kept(path).tables), Origin(str(path)))


def _declared(document: Document, origin: Origin) -> dict[str, Policy]:
    policies = parse_policies(document, origin)
    return {name: policy for name, policy in policies.items() if name not in PRESETS}


_AGAIN = "`barasync network install-hook` writes it anew"
