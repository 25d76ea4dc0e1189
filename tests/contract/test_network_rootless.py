"""What presets promise about packets, of a podman without root."""

from __future__ import annotations

import pytest

from tests.contract.preset_tries import (
    KINDS,
    LINK,
    NAMES,
    PRESETS,
    REACHED,
    World,
    asking,
    attempted,
    not_refused,
)
from tests.rig.internet import internet
from tests.rig.services import RigService

NAME = NAMES[0][1]


@pytest.fixture(scope="module")
def worlds() -> dict[str, World]:
    """What has been tried already: once for all tests."""
    return {}


@pytest.fixture
def world(
    rootless_service: RigService,
    rootless_busybox: str,
    worlds: dict[str, World],
    tmp_path_factory: pytest.TempPathFactory,
) -> World:
    assert rootless_busybox
    name = rootless_service.name
    if name not in worlds:
        with internet() as online:
            online.name({NAME: [online.public[0], online.public[2]]})
            with asking(rootless_service, online):
                directory = tmp_path_factory.mktemp("rootless")
                worlds[name] = attempted(rootless_service, online, directory)
    return worlds[name]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_leads_where_it_says_and_nowhere_else(
    world: World, preset: str, kind: str
) -> None:
    """slirp4netns passes neither IPv6 of the container nor pings, and has the gateways inside."""
    answers = {each: world.answers[preset][each] for each in world.destinations[kind]}
    carried = {
        (protocol, address, port): answer
        for (protocol, address, port), answer in answers.items()
        if protocol != "icmp" and (":" not in address or address.startswith("::ffff:"))
    }

    if kind not in REACHED[preset]:
        assert not_refused(preset, answers) == {}
    elif kind == "gateways":
        # Nobody listens there; the packets are not refused by the rules.
        assert set(answers.values()) == {"closed"}
    elif kind == "loopback":
        assert set(answers.values()) == {"reached"}
    else:
        assert carried != {}
        assert set(carried.values()) == {"reached"}


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_leads_to_others_of_the_link_or_to_port_53_of_others(
    world: World, preset: str
) -> None:
    tried = (*LINK, *world.destinations["resolvers"])

    assert not_refused(preset, {each: world.answers[preset][each] for each in tried}) == {}


def test_names_are_resolved_where_there_is_a_network_to_reach_them(world: World) -> None:
    found = {each: tuple(world.answers[each][name] for name in NAMES) for each in PRESETS}

    addresses = f"{world.internet.public[0]} {world.internet.public[2]}"
    assert found == {
        **dict.fromkeys(("public", "private"), (addresses, "unknown")),
        **dict.fromkeys(("local", "isolated"), ("unknown", "unknown")),
    }
