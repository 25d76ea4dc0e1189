"""What goes wrong with a container's network, said to people."""

from __future__ import annotations

NONE_DOES_WITHOUT = '`network = "none"` does without'
"""The way out that a host always has on which networks, or their rules, cannot be had."""

# All that netavark says of a program that it does not find.
_NO_IPTABLES = "netavark: no such file or directory"
_IPTABLES = (
    "before podman 5 a network takes iptables, which the service does not find: install the package"
    f" iptables there; {NONE_DOES_WITHOUT}"
)


def network_hint(reason: str) -> str | None:
    """Return what to do where podman did not set a network up, if `reason` is about that."""
    return _IPTABLES if _NO_IPTABLES in reason.lower() else None


def or_without(hint: str | None) -> str:
    """Return `hint` with the way out, for what has to be enforced and cannot be."""
    return NONE_DOES_WITHOUT if hint is None else f"{hint}; {NONE_DOES_WITHOUT}"
