"""Networks of a storage of the tests: a default one and a range for others that nobody else has.

Bridges and rules of packets are of the host, whoever's storage their networks are of: they stay
where podman is killed, or its storage goes first.
"""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Prefix = ipaddress.IPv4Network | ipaddress.IPv6Network

_NUMBERS = 1024
_TRIES = 5
# Not podman's own (10.88.0.0/16, 10.89.0.0/16) nor the services of Kubernetes (10.96.0.0/12): what
# has an address of a dead session is removed.
_DEFAULTS = ipaddress.ip_network("10.213.0.0/16")
_POOLS = ipaddress.ip_network("10.224.0.0/12")
_POOL_SIZE = 26

_CHAIN = re.compile(r"NETAVARK-(?:DN-)?(?P<hash>[0-9A-F]{13})$|nv_(?P<id>[0-9a-f]{8})_")
"""The chains that netavark makes for one network: before version 1.10, and since."""

_BRIDGE = re.compile(r"barasync\d+|podman\d+|bs[0-9a-f]{12}")
_NAMESPACE = re.compile(r"netns-[0-9a-f-]+")
"""What podmans call theirs; of others neither is touched, whatever addresses they have."""

NAMESPACES = Path("/run/netns")
"""Where podman mounts the network namespaces of containers, in all mount namespaces at once."""

_AIDS = Path("/run/containers/networks/aardvark-dns")
"""One file for each network with names; all rootful podmans of a host have them here."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a number stands for: no other number has any of it."""

    number: int

    @property
    def bridge(self) -> str:
        """The interface of the default network."""
        return f"barasync{self.number}"

    @property
    def default(self) -> ipaddress.IPv4Network:
        """The addresses of the default network: 62 containers."""
        return ipaddress.IPv4Network(f"10.213.{self.number >> 2}.{(self.number & 3) << 6}/26")

    @property
    def pool(self) -> ipaddress.IPv4Network:
        """The addresses of the other networks: 16 of them."""
        return ipaddress.IPv4Network(
            f"10.{224 + (self.number >> 6)}.{(self.number & 63) << 2}.0/22"
        )


@dataclass(frozen=True, slots=True)
class _Rule:
    family: str
    table: str
    chain: str
    handle: int
    prefixes: frozenset[Prefix]
    words: frozenset[str]


@contextmanager
def own_networks(directory: Path) -> Iterator[Place]:
    """Write the default network for a storage into `directory/networks`; clear up at the end.

    What others have left who are dead goes first: netavark cannot remove a network's chain while
    somebody else's rules are in one of that name.
    """
    place, claim = claim_place(os.getpid())
    with claim:
        _remove_of_the_dead(place)
        network = {
            "name": "podman",
            "id": hashlib.sha256(b"podman").hexdigest(),
            "driver": "bridge",
            "network_interface": place.bridge,
            "created": "2026-01-01T00:00:00Z",
            "subnets": [{"subnet": str(place.default), "gateway": str(place.default[1])}],
            "ipv6_enabled": False,
            "internal": False,
            "dns_enabled": False,
            "ipam_options": {"driver": "host-local"},
        }
        networks = directory / "networks"
        networks.mkdir()
        (networks / "podman.json").write_text(json.dumps(network))
        try:
            yield place
        finally:
            remove(place)


def place_of(directory: Path) -> Place | None:
    """Return the place of a directory with networks, `None` for one without."""
    default = directory / "networks/podman.json"
    if not default.exists():
        return None
    name = json.loads(default.read_text())["network_interface"]
    return Place(int(name.removeprefix("barasync")))


def settings(directory: Path) -> list[str]:
    """Return what `containers.conf` has to say below `[network]` for a directory with networks."""
    place = place_of(directory)
    assert place is not None
    pool = f'{{"base" = "{place.pool}", "size" = {_POOL_SIZE}}}'
    return [
        'network_backend = "netavark"',
        f'network_config_dir = "{directory / "networks"}"',
        f"default_subnet_pools = [{pool}]",
    ]


def claim_place(first: int) -> tuple[Place, socket.socket]:
    """Return a place that nobody has, and what it is claimed by as long as that is open.

    It is the first that is free from a number on. The claim is a name of this network namespace, as
    those of bridges are. Source: unix(7), abstract sockets.
    """
    for offset in range(_NUMBERS):
        place = Place((first + offset) % _NUMBERS)
        claim = _claim(place)
        if claim is not None:
            return place, claim
    raise RuntimeError(f"all {_NUMBERS} networks of tests are in use on this host")


def _claim(place: Place) -> socket.socket | None:
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0barasync-test-network-{place.number}")
    except OSError as error:
        claim.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return claim


def left_of(place: Place) -> list[str]:
    """Return the bridges, rules, chains and served names of a place that are on this host."""
    bridges = _bridges()
    rules, chains = _ruleset()
    own = _prefixes(place, bridges, rules)
    going, empty = _going(place, own, rules, chains)
    return [
        *(f"bridge {name}" for name, found in bridges.items() if _is_of(place, name, found)),
        *(f"rule of {rule.family} {rule.table} {rule.chain}: {_said(rule)}" for rule in going),
        *(f"chain {' '.join(chain)}" for chain in empty),
        *(f"namespace {path}" for path in _namespaces(place)),
        *(f"names {path.name}" for path in _served(place)),
    ]


def remove(place: Place) -> None:
    """Remove all that is of a place, or raise. Whoever else has it now must have ended."""
    for _ in range(_TRIES):
        bridges = _bridges()
        rules, chains = _ruleset()
        own = _prefixes(place, bridges, rules)
        going, empty = _going(place, own, rules, chains)
        lines = [f"delete rule {r.family} {r.table} {r.chain} handle {r.handle}" for r in going]
        lines += [f"delete chain {' '.join(chain)}" for chain in empty]
        if not lines or _changed("\n".join(lines)):
            break
    else:
        raise RuntimeError(f"cannot be removed: {left_of(place)}")
    for name, found in bridges.items():
        if _is_of(place, name, found):
            subprocess.run(["ip", "link", "delete", name], check=True)
    for path in _namespaces(place):
        subprocess.run(["umount", path], check=True)
        path.unlink()
    for path in _served(place):
        path.unlink(missing_ok=True)


def left_in_run(run: Path) -> list[str]:
    """Return the namespaces and served names of a podman that has a `/run` of its own."""
    return [
        *(f"namespace {path}" for path in (run / "netns").glob("*")),
        *(f"names {path.name}" for path in _files_of_names(run)),
    ]


def idle_name_servers(directory: Path) -> list[str]:
    """Return the processes that serve names for the podman of a directory, and have none.

    They have its environment. One of another podman may be without names for a while, too.
    """
    needle = os.fsencode(directory)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # It may end meanwhile.
        with suppress(OSError):
            is_server = (process / "comm").read_text() == "aardvark-dns\n"
            is_its = is_server and needle in (process / "environ").read_bytes()
            if is_its and not _files_of_names(process / "root/run"):
                found.append(f"process {process.name}: aardvark-dns")
    return found


def _files_of_names(run: Path) -> list[Path]:
    directory = run / _AIDS.relative_to("/run")
    return [path for path in directory.glob("*") if path.name != "aardvark.pid"]


def _changed(text: str) -> bool:
    """Make a transaction of nft; it fails where a podman of others changes a table meanwhile."""
    done = subprocess.run(["nft", "-f", "-"], input=text.encode(), capture_output=True, check=False)
    return done.returncode == 0


def _remove_of_the_dead(mine: Place) -> None:
    rules, _ = _ruleset()
    bridges = _bridges()
    prefixes = {each for rule in rules for each in rule.prefixes}
    prefixes.update(each for found in bridges.values() for each in found)
    prefixes.update(each for inside in _addresses_inside().values() for each in inside)
    dead = {_owner(each) for each in prefixes} - {None}
    for place in (mine, *(place for place in dead if place is not None and place != mine)):
        claim = None if place == mine else _claim(place)
        if place == mine or claim is not None:
            remove(place)
        if claim is not None:
            claim.close()


def _owner(prefix: Prefix) -> Place | None:
    if isinstance(prefix, ipaddress.IPv6Network):
        return None
    low = int(prefix.network_address)
    if prefix.subnet_of(_DEFAULTS) and prefix.prefixlen >= _POOL_SIZE:
        return Place((low >> 6) & 1023)
    if prefix.subnet_of(_POOLS) and prefix.prefixlen >= _POOL_SIZE:
        return Place(((low >> 10) & 63) + (((low >> 16) & 15) << 6))
    return None


def _is_of(place: Place, name: str, found: Iterable[Prefix]) -> bool:
    return name == place.bridge or (
        _BRIDGE.fullmatch(name) is not None and any(_owner(each) == place for each in found)
    )


def _bridges() -> dict[str, list[Prefix]]:
    """Return the bridges of this host, with the ranges they have addresses of."""
    return _interfaces("ip", "-json", "address", "show", "type", "bridge")


def _interfaces(*command: str) -> dict[str, list[Prefix]]:
    done = subprocess.run(command, capture_output=True, check=True)
    found: dict[str, list[Prefix]] = {}
    for link in json.loads(done.stdout or "[]"):
        if "ifname" in link:
            found[link["ifname"]] = [
                ipaddress.ip_network(f"{each['local']}/{each['prefixlen']}", strict=False)
                for each in link["addr_info"]
                if each["scope"] == "global"
            ]
    return found


def _ruleset() -> tuple[list[_Rule], set[tuple[str, str, str]]]:
    """Return netavark's rules on this host, and those of its chains that are of one network."""
    done = subprocess.run(["nft", "-j", "-a", "list", "ruleset"], capture_output=True, check=True)
    rules, chains = [], set()
    for entry in json.loads(done.stdout)["nftables"]:
        if "rule" in entry:
            rule = entry["rule"]
            prefixes, words = set[Prefix](), set[str]()
            _read(rule["expr"], prefixes, words)
            place = (rule["family"], rule["table"], rule["chain"], rule["handle"])
            found = _Rule(*place, frozenset(prefixes), frozenset(words))
            if _is_netavarks(found):
                rules.append(found)
        elif "chain" in entry and _CHAIN.match(entry["chain"]["name"]):
            chain = entry["chain"]
            chains.add((chain["family"], chain["table"], chain["name"]))
    return rules, chains


def _is_netavarks(rule: _Rule) -> bool:
    """Tell whether a rule is in netavark's own table or chains, or leads there."""
    own = rule.table == "netavark" or rule.chain.startswith("NETAVARK")
    return own or any(word.startswith("NETAVARK") for word in rule.words)


def _read(part: Any, prefixes: set[Prefix], words: set[str]) -> None:
    """Collect the addresses and the other words of an expression of nft's JSON."""
    if isinstance(part, dict):
        if "addr" in part and "len" in part:
            prefixes.add(ipaddress.ip_network(f"{part['addr']}/{part['len']}"))
            return
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            _read(each, prefixes, words)
    elif isinstance(part, str):
        try:
            prefixes.add(ipaddress.ip_network(part))
        except ValueError:
            words.add(part)


def _prefixes(
    place: Place, bridges: dict[str, list[Prefix]], rules: list[_Rule]
) -> frozenset[Prefix]:
    """Return the ranges of version 6 that are a place's: on a bridge or in a chain with its own."""
    own = {each for name, on in bridges.items() if _is_of(place, name, on) for each in on}
    kinds: dict[str, set[Prefix]] = {}
    for rule in rules:
        match = _CHAIN.match(rule.chain)
        if match:
            kinds.setdefault(match["hash"] or match["id"], set()).update(rule.prefixes)
    for found in kinds.values():
        owners = {_owner(each) for each in found} - {None}
        if owners == {place}:
            own |= found
    return frozenset(each for each in own if each.version == 6 and each.is_private)


def _going(
    place: Place, own: frozenset[Prefix], rules: list[_Rule], chains: set[tuple[str, str, str]]
) -> tuple[list[_Rule], set[tuple[str, str, str]]]:
    """Return the rules that are of a place, and the chains that are empty without them."""

    def is_own(rule: _Rule) -> bool:
        return (
            place.bridge in rule.words
            or not own.isdisjoint(rule.prefixes)
            or any(_owner(each) == place for each in rule.prefixes)
        )

    inside: dict[tuple[str, str, str], list[_Rule]] = {}
    for rule in rules:
        inside.setdefault((rule.family, rule.table, rule.chain), []).append(rule)
    going = {rule for rule in rules if is_own(rule)}
    empty = set()
    for chain in chains:
        within = inside.get(chain, [])
        others = {owner for rule in within for each in rule.prefixes if (owner := _owner(each))}
        if going.intersection(within) and others <= {place}:
            empty.add(chain)
            going.update(within)
            going.update(
                each for each in rules if each.family == chain[0] and chain[2] in each.words
            )
    return sorted(going, key=lambda rule: (rule.table, rule.chain, rule.handle)), empty


def _said(rule: _Rule) -> str:
    return " ".join(sorted([*map(str, rule.prefixes), *rule.words]))[:200]


def _namespaces(place: Place) -> list[Path]:
    """Return the mounts by which podman keeps namespaces that have addresses of a place."""
    found = _addresses_inside()
    return [path for path, inside in found.items() if place in map(_owner, inside)]


def _addresses_inside() -> dict[Path, set[Prefix]]:
    """Return the mounts by which podman keeps namespaces, with the ranges of their addresses."""
    found: dict[Path, set[Prefix]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        path = Path(line.split()[4])
        if path.parent == NAMESPACES and _NAMESPACE.fullmatch(path.name):
            # It may be gone by now.
            with suppress(subprocess.CalledProcessError):
                inside = _interfaces("nsenter", f"--net={path}", "ip", "-json", "address")
                found[path] = {each for on in inside.values() for each in on}
    return found


def _served(place: Place) -> list[Path]:
    """Return the files of a place's networks that the server of names reads."""
    found = []
    for path in sorted(_AIDS.glob("*")):
        addresses = path.read_text().partition("\n")[0].split(" ")[0].split(",")
        try:
            served = [ipaddress.ip_network(each) for each in addresses]
        except ValueError:
            continue  # the server's own number
        if any(_owner(each) == place for each in served):
            found.append(path)
    return found
