"""Which policy the OCI hook enforces on a container, and what of the container it depends on.

Source: OCI runtime specification 1.0.2, "State", "Linux Namespaces"; route(8); aardvark-dns;
measured with podman 4.3.1 (crun 1.8.1) and 5.4.2 (crun 1.21).
"""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterable
from pathlib import PurePosixPath

import msgspec

from barasync.config.capabilities import LIFTING
from barasync.config.policies import PRESETS, Address, Policy, Range
from barasync.config.spelling import did_you_mean
from barasync.errors import EngineUnavailable
from barasync.terminal_text import one_line

ANNOTATION = "barasync.network"
"""What a container names its policy by."""

_NAME_LENGTH = 80
_ROUTE_IS_UP = 1
# The file of a network namespace that podman makes (`NewNS` of containers/common).
_PODMANS_OWN = re.compile(r"netns-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IPV6_BITS = 128


class HookError(EngineUnavailable):
    """The policy of a container cannot be enforced, and so it must not start."""


class State(msgspec.Struct, frozen=True):
    """What the runtime says of a container."""

    id: str
    pid: int
    bundle: str


class _Process(msgspec.Struct, frozen=True):
    capabilities: dict[str, list[str] | None] | None = None


class _Mount(msgspec.Struct, frozen=True):
    destination: str
    source: str = ""


class _Namespace(msgspec.Struct, frozen=True):
    type: str
    path: str = ""


class _Linux(msgspec.Struct, frozen=True):
    namespaces: list[_Namespace] = []


class Configuration(msgspec.Struct, frozen=True):
    """What of `config.json` in a container's bundle the rules depend on."""

    process: _Process = _Process()
    mounts: list[_Mount] = []
    linux: _Linux = _Linux()
    annotations: dict[str, str] = {}


def policy_of(config: Configuration, policies: dict[str, Policy]) -> Policy:
    """Return the policy that the annotation of a container names.

    Raises:
        HookError: there is none of that name.
    """
    name = config.annotations.get(ANNOTATION, "")
    known = {**PRESETS, **policies}
    if name not in known:
        quoted = repr(one_line(name, most=_NAME_LENGTH))
        raise HookError(
            f"its annotation {ANNOTATION} names the policy {quoted}, and there is none"
            f"{did_you_mean(name, known)}",
            hint=f"there are {', '.join(known)}; `barasync network install-hook --policies FILE`"
            " takes those of a file",
        )
    return known[name]


def check_container(config: Configuration, policy: Policy) -> None:
    """Refuse a container that no rules would bind, or whose rules would bind others.

    Raises:
        HookError: what of it that is, and how to run it.
    """
    _check_capabilities(config)
    _check_processes(config)
    places = [each.path for each in config.linux.namespaces if each.type == "network"]
    if not places:
        raise HookError(
            "it has the network of the host, whose packets no policy of a container may decide on",
            hint="give it a network of its own, or take away the annotation",
        )
    if places[0] and _PODMANS_OWN.fullmatch(PurePosixPath(places[0]).name) is None:
        raise HookError(
            "it shares the network of another container or of a pod, or one that was made by hand,"
            " whose rules are not its own",
            hint="give it a network of its own, or take away the annotation",
        )
    if not places[0] and policy.resolves:
        raise HookError(
            f"the policy '{policy.name}' resolves names, and the container has no network yet",
            hint="with --network=none take 'local' or 'isolated'; with --userns podman makes the"
            " network only after the hook, when nobody can tell its resolver",
        )


def _check_capabilities(config: Configuration) -> None:
    capabilities = config.process.capabilities
    if capabilities is None:
        raise HookError(
            "its configuration names no capabilities, so that the runtime leaves it what it has",
            hint="podman always names them: what else made this container?",
        )
    held = {
        name.upper().removeprefix("CAP_") for each in capabilities.values() for name in each or ()
    }
    lifting = sorted(held.intersection(LIFTING))
    if lifting:
        raise HookError(
            f"it has {', '.join(lifting)}, which no policy bears: {lifting[0]}"
            f" {LIFTING[lifting[0]]}",
            hint=f"run it with --cap-drop={','.join(lifting)}, and without --privileged",
        )


def _check_processes(config: Configuration) -> None:
    """Refuse a container that sees processes outside of it, with SYS_PTRACE or without.

    Root traces those of root that hold no more capabilities than it, such as those of another
    container, and as another user all of that user. Source: ptrace(2), "Ptrace access mode
    checking"; tried with podman's default capabilities on Linux 6.18.
    """
    if not any(each.type == "pid" and not each.path for each in config.linux.namespaces):
        raise HookError(
            "it sees processes outside of it, and can make one that no policy binds send for it",
            hint="run it with --pid=private, which is podman's default",
        )


def resolvers(
    served: Iterable[Address],
    nameservers: Iterable[Address],
    links: Iterable[Range],
    policy: Policy,
) -> tuple[Address, ...]:
    """Return the servers that a container may ask for names: its network's, or its policy's.

    `served` are the addresses of podman's own resolver in the container's networks, `nameservers`
    those of its `resolv.conf`, `links` the ranges that it reaches without a gateway: what answers
    there is of the network. The servers of the host, which podman lists as well, are not.

    Raises:
        HookError: there are none, and the policy resolves names.
    """
    if policy.dns or not policy.asks:
        return policy.dns
    ranges = tuple(links)
    of_links = (each for each in nameservers if any(each in link for link in ranges))
    found = tuple(dict.fromkeys((*served, *of_links)))
    if not found and policy.resolves:
        raise HookError(
            f"the policy '{policy.name}' resolves names, and the container's network has no"
            " resolver",
            hint="podman's default network has none: make one with `podman network create NAME`,"
            " and run it with --network=NAME",
        )
    return found


def parse_served(text: str, container_id: str) -> list[Address]:
    """Return the addresses that podman's resolver has in a network, if the container is in it.

    `text` is a file of aardvark-dns for one network: these addresses, then a line a container.

    Source: `src/config/mod.rs` of aardvark-dns 1.4 and 1.14.
    """
    first, *others = text.splitlines() or [""]
    if not any(line.startswith(f"{container_id} ") for line in others):
        return []
    return [ipaddress.ip_address(each) for each in first.split(" ")[0].split(",") if each]


def parse_links(route: str, ipv6_route: str) -> list[Range]:
    """Return the ranges without a gateway of `/proc/PID/net/route` and `ipv6_route`."""
    links: list[Range] = []
    for line in route.splitlines()[1:]:
        _, destination, gateway, flags, _, _, _, mask, *_ = line.split()
        if int(gateway, 16) == 0 and int(mask, 16) and int(flags, 16) & _ROUTE_IS_UP:
            links.append(ipaddress.ip_network(f"{_ipv4(destination)}/{_ipv4(mask)}"))
    for line in ipv6_route.splitlines():
        destination, length, _, _, gateway, *_, interface = line.split()
        prefix = int(length, 16)
        if int(gateway, 16) == 0 and 0 < prefix < _IPV6_BITS and interface != "lo":
            links.append(ipaddress.ip_network((int(destination, 16), prefix)))
    return [link for link in links if not link.is_multicast]


def _ipv4(text: str) -> ipaddress.IPv4Address:
    # The kernel writes the bytes of the network as a number of this machine.
    return ipaddress.IPv4Address(int(text, 16).to_bytes(4, sys.byteorder))
