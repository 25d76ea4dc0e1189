"""What goes wrong with a container's network, said to people."""

from __future__ import annotations

NONE_DOES_WITHOUT = '`network = "none"` does without'
"""The way out that a host always has on which networks, or their rules, cannot be had."""

RESOLVER_IS_LATE = (
    "where that goes on, `sysctl net.ipv6.conf.all.accept_dad=0` on the service's host has the"
    " kernel use new addresses at once, as podman wants it; `ipv6 = false` in a table"
    " [network.NAME] does without"
)
"""What to do where the resolver of a network can never listen at a new bridge's address."""

_LACKS = (
    "a network takes {what}, which the podman service does not find: install the package {name} on"
    " its machine"
)
_TUN = (
    "without root a network takes /dev/net/tun, which the podman service may not open: `modprobe"
    " tun` on its machine, or `--device /dev/net/tun` where that is a container"
)

# Podman's own words for programs that it looks for, netavark's for those that it executes: of
# iptables it says no more than this. Source: libpod and containers/common of podman 4.3.1 and
# 5.4.2; netavark 1.4 and 1.14.
_KNOWN = {
    "/dev/net/tun": _TUN,
    "could not find slirp4netns": _LACKS.format(what="slirp4netns", name="slirp4netns"),
    "could not find pasta": _LACKS.format(what="pasta", name="passt"),
    'could not find "netavark"': _LACKS.format(what="netavark", name="netavark"),
    "unable to execute nft": _LACKS.format(what="nft", name="nftables"),
    "netavark: no such file or directory": _LACKS.format(what="iptables", name="iptables"),
}


def network_hint(reason: str) -> str | None:
    """Return what to do where podman did not set a network up, if `reason` is about that."""
    said = reason.lower()
    found = next((hint for text, hint in _KNOWN.items() if text in said), None)
    return None if found is None else or_without(found)


def or_without(hint: str | None) -> str:
    """Return `hint` with the way out, for what has to be enforced and cannot be."""
    return NONE_DOES_WITHOUT if hint is None else f"{hint}; {NONE_DOES_WITHOUT}"
