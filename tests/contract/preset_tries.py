"""What is tried to reach an internet from a cell of each preset, and how a refusal is met."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.rig import probe
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.internet import Internet, asked_for_names, metadata_stays
from tests.rig.probe import Probe
from tests.rig.services import RigService

NATIVE = native_architecture()
PRESETS = ("public", "private", "local", "isolated")
NAME = "host.internet.test"

REACHED: dict[str, set[str]] = {
    "public": {"public"},
    "private": {"private", "gateways", "loopback"},
    "local": {"loopback"},
    "isolated": set(),
}
"""Which destinations a preset leads to; to all others it does not."""

REFUSED = {"tcp": {"closed"}, "udp": {"EPERM"}, "icmp": {"EPERM", "EACCES"}}
"""How a refusal is met, at once: by TCP's reset, or by the error of a system call."""
OFFLINE = {"ENETUNREACH", "unknown"}
"""How it is met where there is no interface."""


@dataclass(frozen=True, slots=True)
class World:
    """An internet, what is tried to reach it, and what became of that by network.

    `destinations` has what is tried by the kind of address.
    """

    internet: Internet
    destinations: Mapping[str, tuple[Probe, ...]]
    answers: Mapping[str, Mapping[Probe, str]]


@contextmanager
def asking(service: RigService, online: Internet) -> Iterator[None]:
    probe.make_image(service.endpoint.socket_path)
    with asked_for_names(online, service):
        yield


def in_project(service: RigService, directory: Path) -> Barasync:
    project = directory / "project"
    project.mkdir()
    return Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


def destinations(world: Internet) -> dict[str, tuple[Probe, ...]]:
    hosts = (("tcp", 80), ("tcp", 8080), ("udp", 443), ("icmp", 0))
    return {
        "public": tried(world.public, *hosts),
        "private": (
            *tried(world.private, *hosts),
            *tried((f"::ffff:{world.private[0]}",), ("tcp", 80), ("udp", 443)),
        ),
        "refused": tried(world.refused, *hosts),
        "this host": tried(world.here, *hosts, ("tcp", world.any_port)),
        "gateways": tried(
            *(("gateway4", "gateway6"), ("tcp", world.any_port), ("udp", world.any_port))
        ),
        "loopback": tried(("127.0.0.1", "::1"), ("tcp", 9000), ("udp", 9000), ("icmp", 0)),
        "resolvers": tried((*world.public, *world.private), ("tcp", 53), ("udp", 53)),
    }


LINK = (
    *(("tcp", "fe80::1%eth0", 80), ("udp", "fe80::1%eth0", 80), ("icmp", "fe80::1%eth0", 0)),
    *(("udp", "ff02::fb%eth0", 5353), ("udp", "224.0.0.251", 5353)),
    *(("udp", "239.255.0.1", 5353), ("icmp", "224.0.0.1", 0)),
)
"""Of the container's own link, where none of them answers."""

NAMES = (("name", NAME, 0), ("name", "nobody.internet.test", 0))


def tried(addresses: tuple[str, ...], *ways: tuple[str, int]) -> tuple[Probe, ...]:
    return tuple((protocol, each, port) for each in addresses for protocol, port in ways)


def attempted(service: RigService, online: Internet, directory: Path) -> World:
    """Try everything in a cell of each preset, all at once."""
    barasync = in_project(service, directory)
    kinds = destinations(online)
    probes = [*(each for kind in kinds.values() for each in kind), *LINK, *NAMES]
    probes.append(("bulk", online.public[0], 8080))
    probes.append(("bulk", online.private[3], 8080))
    barasync.configure(
        settings(probe.command(probes))
        + f"[matrix]\nconfig = {json.dumps(PRESETS)}\n"
        + "".join(f'[config.{each}]\nnetwork = "{each}"\n' for each in PRESETS)
    )
    with metadata_stays():
        ended = barasync("matrix", "tests", "--jobs", "4")
    assert ended.code == 0, ended.out + ended.err
    answers = {
        each: dict(zip(probes, json.loads(barasync.log(f"{NATIVE}-{each}")), strict=True))
        for each in PRESETS
    }
    return World(online, kinds, answers)


def shell(words: list[str]) -> str:
    return " ".join(map(shlex.quote, words))


def settings(command: list[str]) -> str:
    # An array of JSON is one of TOML.
    return (
        f'[defaults]\nimage = "{probe.IMAGE}"\nworkspace = "none"\n'
        f"command = {json.dumps(command)}\n"
    )


KINDS = ("public", "private", "refused", "this host", "gateways", "loopback")


def not_refused(preset: str, answers: Mapping[Probe, str]) -> dict[Probe, str]:
    offline = OFFLINE if preset in {"local", "isolated"} else set()
    return {
        each: answer
        for each, answer in answers.items()
        if not REFUSED[each[0]] | offline >= set(answer.split())
    }
