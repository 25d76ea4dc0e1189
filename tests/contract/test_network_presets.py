"""What presets of networks promise about packets, with packets, from the first instruction on."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.preset_tries import (
    KINDS,
    LINK,
    NAME,
    NAMES,
    NATIVE,
    PRESETS,
    REACHED,
    World,
    asking,
    attempted,
    destinations,
    in_project,
    not_refused,
    settings,
    shell,
)
from tests.rig import libpod, probe
from tests.rig.command import Barasync
from tests.rig.internet import Internet, asked_for_names, internet, metadata_stays
from tests.rig.services import RigService
from tests.rig.waiting import wait_until


@pytest.fixture(scope="session")
def online() -> Iterator[Internet]:
    with internet() as world:
        world.name({NAME: [world.public[0], world.public[2]]})
        yield world


@pytest.fixture(scope="session")
def worlds() -> dict[str, World]:
    """What has been tried already, by the name of the service: once for all tests."""
    return {}


@pytest.fixture
def world(
    service: RigService,
    online: Internet,
    worlds: dict[str, World],
    tmp_path: Path,
) -> World:
    if service.name not in worlds:
        with asking(service, online):
            worlds[service.name] = attempted(service, online, tmp_path)
    return worlds[service.name]


@pytest.fixture
def barasync(service: RigService, online: Internet, tmp_path: Path) -> Iterator[Barasync]:
    """The command line in a project; the cells' network asks the internet's name server."""
    with asking(service, online):
        yield in_project(service, tmp_path)


def test_without_a_policy_all_of_it_is_reached(service: RigService, online: Internet) -> None:
    """Else what follows would prove nothing."""
    socket_path = service.endpoint.socket_path
    probes = [each for kind in destinations(online).values() for each in kind]
    probe.make_image(socket_path)
    network = {"name": "unfiltered", "ipv6_enabled": True, "dns_enabled": True}
    libpod.request(socket_path, "POST", "networks/create", body=network)
    try:
        with asked_for_names(online, service), metadata_stays():
            code, log = libpod.run_container(
                socket_path,
                image=probe.IMAGE,
                command=probe.command([*probes, *NAMES]),
                netns={"nsmode": "bridge"},
                networks={"unfiltered": {}},
            )
    finally:
        libpod.request(socket_path, "DELETE", "networks/unfiltered")

    answers = json.loads(log[log.index(b"[") :])
    names = answers[len(probes) :]
    assert code == 0
    assert {
        each: answer for each, answer in zip(probes, answers, strict=False) if answer != "reached"
    } == {}
    assert names == [" ".join((online.public[0], online.public[2])), "unknown"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_leads_where_it_says_and_nowhere_else(
    world: World, preset: str, kind: str
) -> None:
    tried = world.destinations[kind]
    answers = {each: world.answers[preset][each] for each in tried}

    if kind in REACHED[preset]:
        assert answers == dict.fromkeys(tried, "reached")
    else:
        assert not_refused(preset, answers) == {}


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_leads_to_others_of_the_link_or_to_groups(world: World, preset: str) -> None:
    answers = {each: world.answers[preset][each] for each in LINK}

    assert not_refused(preset, answers) == {}


@pytest.mark.parametrize("preset", PRESETS)
def test_port_53_is_that_of_the_networks_resolver_alone(world: World, preset: str) -> None:
    """Nor does another port of the resolver become one: see `gateways`."""
    answers = {each: world.answers[preset][each] for each in world.destinations["resolvers"]}

    assert not_refused(preset, answers) == {}


def test_names_are_resolved_where_there_is_a_network_to_reach_them(world: World) -> None:
    addresses = f"{world.internet.public[0]} {world.internet.public[2]}"

    found = {each: tuple(world.answers[each][name] for name in NAMES) for each in PRESETS}

    assert found == {
        **dict.fromkeys(("public", "private"), (addresses, "unknown")),
        **dict.fromkeys(("local", "isolated"), ("unknown", "unknown")),
    }


def test_what_is_allowed_passes_in_any_amount(world: World) -> None:
    public, private = (each for each in world.answers["public"] if each[0] == "bulk")

    assert world.answers["public"][public] == "reached"
    assert world.answers["private"][private] == "reached"


# By TCP and by UDP, at all addresses at once.
KNOCKS = """
for each in "$@"; do
    nc -w 5 $each 80 </dev/null &
    nslookup host.internet.test $each &
done
wait
exit 1
"""


def test_nothing_passes_before_the_rules_are_there(barasync: Barasync, online: Internet) -> None:
    """Fifty containers of each preset, whose first programs send at once by both versions of IP.

    Those of `local` are five: they have no interface that rules could come too late for.
    """
    public, private = ((each[0], each[-1]) for each in (online.public, online.private))
    knocked = {
        "public": private,
        "private": public,
        "local": (*public, *private),
        "isolated": ("127.0.0.1", "::1"),
    }
    numbers = {**dict.fromkeys(PRESETS, 50), "local": 5}
    configs = {f"{preset}{n}": preset for preset, most in numbers.items() for n in range(most)}
    barasync.configure(
        settings(["true"])
        + f"[matrix]\nconfig = {json.dumps(list(configs))}\n"
        + "".join(
            f'[config.{config}]\nnetwork = "{preset}"\n'
            f"command = {json.dumps(['sh', '-c', KNOCKS, 'sh', *knocked[preset]])}\n"
            for config, preset in configs.items()
        )
    )

    ended = barasync("matrix", "tests", "--jobs", "16")

    cells = barasync.result()["cells"]
    assert len(cells) == len(configs), ended.err
    for cell in cells:
        preset = configs[cell["config"]]
        addresses = knocked[preset]
        met = Counter(line.rpartition(": ")[2] for line in barasync.log(cell["id"]).splitlines())
        refused = {(each["address"], each["protocol"], each["port"]) for each in cell["refused"]}
        if preset == "local":
            # There is no interface on which anything could be refused.
            assert (dict(met), refused) == ({"Network is unreachable": 2 * len(addresses)}, set())
        else:
            assert met["Connection refused"] == met["Operation not permitted"] == len(addresses)
            # Each has knocked, and not at an interface that was not there yet.
            ways = (("tcp", 80), ("udp", 53))
            assert refused == {(each, *way) for each in addresses for way in ways}


def test_who_follows_the_advice_of_a_refusal_gets_through(
    barasync: Barasync, online: Internet
) -> None:
    barasync.configure(
        settings(["nc", "-w", "5", online.public[0], "80"])
        + 'network = "shop"\n[network.shop]\nbase = "private"\n'
    )

    ended = barasync("matrix", "tests")

    assert ended.code == 1, ended.err
    entry = re.search(r'`(allow = \["[^"]+"\])`', ended.out)
    base = re.search(r'`(base = "[a-z]+")`', ended.out)
    assert entry is not None, ended.out
    assert base is not None, ended.out
    barasync.configure(
        settings(["nc", "-w", "5", online.public[0], "80"])
        + '[matrix]\nconfig = ["entry", "base"]\n'
        + '[config.entry]\nnetwork = "entry"\n[config.base]\nnetwork = "base"\n'
        + f'[network.entry]\nbase = "private"\n{entry[1]}\n[network.base]\n{base[1]}\n'
    )
    assert barasync("matrix", "tests").code == 0


# linux/capability.h: DAC_READ_SEARCH, NET_ADMIN, NET_RAW, SYS_MODULE, SYS_RAWIO, SYS_ADMIN, BPF
POWERFUL = sum(1 << number for number in (2, 12, 13, 16, 17, 21, 39))

ATTEMPTS = """
ip link set eth0 down
ip address add 10.1.2.3/8 dev eth0
ip route add 10.0.0.0/8 dev eth0
ip link add dummy0 type dummy
ip link set lo netns 1
unshare -n true
nsenter --net=/proc/1/ns/net true
nsenter -t 1 -n true
mount -t sysfs sysfs /sys
mount -o remount,rw /proc/sys
echo 1 >/proc/sys/net/ipv4/ip_forward
sysctl -w net.ipv4.conf.all.accept_local=1
arping -c 1 -I eth0 10.0.0.1
chroot / unshare -n true
busybox setpriv --ambient-caps +net_admin ip link set eth0 down
"""


def test_root_of_a_container_cannot_lift_the_rules(barasync: Barasync, online: Internet) -> None:
    forbidden = [("tcp", online.private[0], 80), ("udp", online.private[0], 443)]
    probes = [*forbidden, ("tcp", online.public[0], 80)]
    attempts = "".join(
        f'if ({line}) >/dev/null 2>&1; then echo "done: {line}"; fi\n'
        for line in ATTEMPTS.strip().splitlines()
    )
    python = shell([*probe.PYTHON])
    script = (
        f"{attempts}{python} /tamper.py; unshare -r {python} /tamper.py 2>/dev/null\n"
        f"grep ^Cap /proc/self/status\n{python} /probe.py '{json.dumps(probes)}'\n"
    )
    barasync.configure(settings(["sh", "-c", script]) + 'network = "public"\n')

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.err
    said = barasync.log(NATIVE).splitlines()
    assert [line for line in said if line.startswith("done: ")] == []
    capabilities = {
        name: int(mask, 16) for name, mask in (line.split(":") for line in said if "Cap" in line)
    }
    assert len(capabilities) == 5
    assert [name for name, mask in capabilities.items() if mask & POWERFUL] == []
    assert json.loads(said[-1]) == ["closed", "EPERM", "reached"]
    # Another user namespace can be had, where podman's profile of system calls is not in force.
    assert {line for line in said if "tamp" in line} == {"tampering: EPERM EPERM EPERM"}


def test_the_attempt_to_delete_the_rules_would_succeed_with_the_capability() -> None:
    """Else that it fails in a container would prove nothing."""
    python = " ".join(probe.PYTHON)
    script = f"nft add table inet barasync; {python} {probe.TAMPERING}; nft list tables"

    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, check=True, text=True
    )

    assert done.stdout == "tampering: done done done\n"


@pytest.mark.parametrize("preset", ["public", "private"])
def test_a_cell_that_claims_to_be_a_forbidden_host_does_not_reach_it(
    barasync: Barasync, online: Internet, preset: str
) -> None:
    public, private = (
        next(each for each in kind if ":" in each) for kind in (online.public, online.private)
    )
    to = (private, public) if preset == "public" else (public, private)
    barasync.configure(
        settings([*probe.PYTHON, "-c", probe.CLAIMING.read_text(), *to]) + f'network = "{preset}"\n'
    )

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log(NATIVE).split() == ["sent", "EPERM", "EPERM", "EPERM"]


def awaited(name: str) -> str:
    return f"for i in $(seq 300); do test -e /shared/{name} && break; sleep 0.1; done"


SERVER = f"{shell([*probe.PYTHON])} /probe.py --serve /shared/up & {awaited('over')}"


@pytest.mark.parametrize("preset", ["public", "private"])
def test_cells_reach_each_other_by_name_where_private_addresses_are_reached(
    barasync: Barasync, tmp_path: Path, preset: str
) -> None:
    """One answers on a port until the other has tried to reach it, who says what became of that."""
    (tmp_path / "shared").mkdir()
    tried = [(each, f"{NATIVE}-Server", 9000) for each in ("tcp", "udp", "icmp", "name")]
    client = f"{awaited('up')}; {shell(probe.command(tried))}; touch /shared/over"
    barasync.configure(
        f"""
        [defaults]
        image = "{probe.IMAGE}"
        workspace = "none"
        network = "{preset}"
        volumes = ["{tmp_path}/shared:/shared"]
        [matrix]
        config = ["Server", "client"]
        [config.Server]
        command = {json.dumps(["sh", "-c", SERVER])}
        [config.client]
        command = {json.dumps(["sh", "-c", client])}
        """
    )

    ended = barasync("matrix", "tests", "--jobs", "2")

    assert ended.code == 0, ended.out + ended.err
    tcp, udp, icmp, addresses = json.loads(barasync.log(f"{NATIVE}-client"))
    assert len(addresses.split()) == 2
    if preset == "private":
        assert (tcp, udp, icmp) == ("reached", "reached", "reached")
    else:
        assert not_refused(preset, dict(zip(tried, (tcp, udp, icmp), strict=False))) == {}


@pytest.mark.parametrize("preset", ["public", "private"])
def test_new_connections_come_in_from_private_addresses_with_private_alone(
    barasync: Barasync, tmp_path: Path, preset: str
) -> None:
    """This host has a private address on the network of its cells."""
    (tmp_path / "shared").mkdir()
    barasync.configure(
        settings(["sh", "-c", f"hostname -i >/shared/address; {SERVER}"])
        + f'network = "{preset}"\nvolumes = ["{tmp_path}/shared:/shared"]\n'
    )
    with barasync.running("matrix", "tests") as process:
        wait_until((tmp_path / "shared/up").exists, "the cell serves")
        addresses = (tmp_path / "shared/address").read_text().split()
        with ThreadPoolExecutor() as pool:
            said = list(pool.map(entered, addresses))
        (tmp_path / "shared/over").touch()
        process.communicate(timeout=40)

    assert addresses
    assert said == ["here" if preset == "private" else "silence"] * len(addresses)


def entered(address: str) -> str:
    try:
        with socket.create_connection((address, 9000), timeout=2) as connection:
            return connection.recv(100).decode().strip()
    except TimeoutError:
        return "silence"
