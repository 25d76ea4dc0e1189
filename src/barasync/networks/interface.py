"""The name of a network's bridge on the service's host."""

from __future__ import annotations

import hashlib

_PREFIX = "bs"
_DIGITS = 12


def interface_name(network: str) -> str:
    """Return a name for the bridge of the network of podman's that is called `network`.

    It is of 14 characters; Linux has 15 at most. Podman counts its own from `podman1`, and two
    services on one host would both begin there.
    """
    return _PREFIX + hashlib.sha256(network.encode()).hexdigest()[:_DIGITS]
