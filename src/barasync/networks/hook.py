"""The program of the OCI hook: the rules of the policy that a container's annotation names.

    python -I -m barasync.networks.hook POLICIES LOG…

The runtime calls it at the stage `createRuntime` with the container's state on its standard input.
The container's namespaces are there, nothing in it has run, and nothing does where this fails.
crun throws away what a hook prints, so what was refused goes to a file as well: the first LOG that
can be written to.

Source: OCI runtime specification 1.0.2, "State", "POSIX-platform Hooks"; route(8); measured with
podman 4.3.1 (crun 1.8.1) and 5.4.2 (crun 1.21).
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from barasync.config.capabilities import LIFTING
from barasync.config.policies import PRESETS, Address, Policy, Range
from barasync.config.spelling import did_you_mean
from barasync.errors import BarasyncError, EngineUnavailable, InternalError
from barasync.networks import host
from barasync.networks.hook_policies import ANNOTATION, read_policies
from barasync.networks.namespace import enter
from barasync.networks.resolv_conf import servers
from barasync.networks.rules import Ruleset, Surroundings, missing, ruleset
from barasync.terminal_text import one_line

_PROC = Path("/proc")
_NAMES = Path("/run/containers/networks/aardvark-dns")
_DEPTH = 3
_MOST_BYTES = 16 * 1024**2
"""Of what is read; podman's configuration of a container has some 50 kB."""
_MOST_LOG_BYTES = 256 * 1024
_NAME_LENGTH = 80
_ROUTE_IS_UP = 1
# The file of a network namespace that podman makes (`NewNS` of containers/common).
_PODMANS_OWN = re.compile(r"netns-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OF_PROCESSES = "SYS_PTRACE"
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


class Bundle(msgspec.Struct, frozen=True):
    """What of `config.json` in a container's bundle the rules depend on."""

    process: _Process = _Process()
    mounts: list[_Mount] = []
    linux: _Linux = _Linux()
    annotations: dict[str, str] = {}


def policy_of(bundle: Bundle, policies: dict[str, Policy]) -> Policy:
    """Return the policy that the annotation of a container names.

    Raises:
        HookError: There is none of that name.
    """
    name = bundle.annotations.get(ANNOTATION, "")
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


def check_container(bundle: Bundle, policy: Policy) -> None:
    """Refuse a container that no rules would bind, or whose rules would bind others.

    Raises:
        HookError: What of it that is, and how to run it.
    """
    _check_capabilities(bundle)
    places = [each.path for each in bundle.linux.namespaces if each.type == "network"]
    if not places:
        raise HookError(
            "it has the network of the host, whose packets no policy of a container may decide on",
            hint="give it a network of its own, or take away the annotation",
        )
    if places[0] and _PODMANS_OWN.fullmatch(Path(places[0]).name) is None:
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


def _check_capabilities(bundle: Bundle) -> None:
    capabilities = bundle.process.capabilities
    if capabilities is None:
        raise HookError(
            "its configuration names no capabilities, so that the runtime leaves it what it has",
            hint="podman always names them: what else made this container?",
        )
    held = {
        name.upper().removeprefix("CAP_") for each in capabilities.values() for name in each or ()
    }
    own_processes = any(each.type == "pid" and not each.path for each in bundle.linux.namespaces)
    if _OF_PROCESSES in held and not own_processes:
        raise HookError(
            f"it has {_OF_PROCESSES} and sees processes outside of it, of which it could become"
            " one that no policy binds",
            hint=f"run it with --cap-drop={_OF_PROCESSES}, or without --pid",
        )
    lifting = sorted(held.intersection(LIFTING))
    if lifting:
        raise HookError(
            f"it has {', '.join(lifting)}, which no policy bears: {lifting[0]}"
            f" {LIFTING[lifting[0]]}",
            hint=f"run it with --cap-drop={','.join(lifting)}, and without --privileged",
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
        HookError: There are none, and the policy resolves names.
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


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise HookError(f"{path} cannot be read: {error.strerror}") from None


def _surroundings(state: State, bundle: Bundle, policy: Policy) -> Surroundings:
    sources = [each.source for each in bundle.mounts if each.destination == "/etc/resolv.conf"]
    resolv_conf = Path(sources[-1]) if sources else None
    # Podman 5 writes the file only after the hook, and netavark its own before.
    nameservers = servers(_text(resolv_conf)) if resolv_conf is not None else ()
    net = _PROC / str(state.pid) / "net"
    links = parse_links(_text(net / "route"), _text(net / "ipv6_route"))
    served = [
        address
        for directory in _directories_of_names(resolv_conf)
        for path in sorted(directory.glob("*"))
        for address in parse_served(_text(path), state.id)
    ]
    return Surroundings(
        resolvers=resolvers(served, nameservers, links, policy),
        host=host.addresses(os.getpid()),
        links=tuple(links),
    )


def _directories_of_names(resolv_conf: Path | None) -> Iterator[Path]:
    """Give where podman's resolver has its files: one for root, or in the run directory of a user.

    Source: `netavarkBackendFromConf` of containers/common, which podman 4.3 and 5.4 call.
    """
    yield _NAMES
    # RUNROOT/overlay-containers/ID/userdata/resolv.conf
    if resolv_conf is not None and len(resolv_conf.parents) > _DEPTH:
        yield resolv_conf.parents[_DEPTH] / "networks/aardvark-dns"


def _text(path: Path) -> str:
    """Return what a file says, which may be nothing: podman takes networks away meanwhile."""
    return _read(path).decode(errors="replace") if path.exists() else ""


def check_alone(state: State) -> None:
    """Refuse a container in whose network namespace another process lives; blocking.

    With `--network=ns:PATH` that may be another container's, whose rules these would replace.
    Processes that this user may not look at are not seen.

    Raises:
        HookError: There is one.
    """
    own = _network_of(state.pid)
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and int(entry.name) != state.pid:
            other = _network_of(int(entry.name))
            if own is not None and other == own:
                raise HookError(
                    f"the process {entry.name} is in its network already, whose rules these would"
                    " be as well",
                    hint="give it a network of its own, or take away the annotation",
                )


def _network_of(pid: int) -> tuple[int, int] | None:
    """Tell network namespaces apart; `None` where the process has ended or is not to be seen."""
    try:
        found = (_PROC / str(pid) / "ns/net").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


async def _enforce(state: State, rules: Ruleset) -> None:
    async with enter(state.pid, state.id) as namespace:
        await to_thread.run_sync(check_alone, state)
        await namespace.load(rules.replacement)
        lack = missing(rules, await namespace.listing())
    if lack is not None:
        raise HookError(f"the rules are not in force after they were loaded: {lack}")


def apply(told: bytes, policies: Path) -> None:
    """Put the rules in force for the container whose state the runtime has `told`; blocking.

    Raises:
        BarasyncError: They are not, or nobody knows.
    """
    try:
        state = msgspec.json.decode(told, type=State)
        bundle = msgspec.json.decode(_read(Path(state.bundle) / "config.json"), type=Bundle)
    except msgspec.MsgspecError as error:
        raise HookError(
            f"the runtime says nothing of the container that is known: {error}"
        ) from None
    policy = policy_of(bundle, read_policies(policies))
    check_container(bundle, policy)
    anyio.run(_enforce, state, ruleset(policy, _surroundings(state, bundle, policy)))


def main() -> int:
    """Run the hook; anything but 0 keeps the container from its start."""
    policies, *logs = map(Path, sys.argv[1:])
    told = b""
    try:
        told = sys.stdin.buffer.read(_MOST_BYTES)
        apply(told, policies)
    except BarasyncError as error:
        _tell(told, f"{error}{f'; {error.hint}' if error.hint else ''}", logs)
        return error.exit_code
    # Whatever it is: the sentence has to get where a person looks for it.
    except Exception as error:  # noqa: BLE001 - the container does not start, and that is told
        _tell(told, f"a defect of barasync: {type(error).__name__}: {error}", logs)
        return InternalError.exit_code
    return 0


def _tell(told: bytes, why: str, logs: Iterable[Path]) -> None:
    """Say why a container does not start: on stderr, which runc shows, and in a log."""
    name = "of an unknown ID"
    with suppress(msgspec.MsgspecError):
        name = msgspec.json.decode(told, type=State).id[:12]
    line = one_line(f"barasync does not let the container {name} start: {why}")
    print(line, file=sys.stderr)  # noqa: T201 - as said
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for path in logs:
        with suppress(OSError):
            _append(path, f"{at} {line}\n")
            return


def _append(path: Path, line: str) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        if os.fstat(descriptor).st_size > _MOST_LOG_BYTES:
            os.ftruncate(descriptor, 0)
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
