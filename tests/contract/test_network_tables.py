"""What the keys of a table `[network.NAME]` do to packets, on real podmans, through a run."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from barasync.aiopodman import quirks
from tests.rig import libpod, networks, probe
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.internet import Internet, asked_for_names, internet
from tests.rig.probe import Probe
from tests.rig.services import RigService
from tests.rig.waiting import wait_until

NATIVE = native_architecture()
NAME = "host.tables.test"
SERVES = [*probe.PYTHON, "/probe.py", "--serve", "/tmp/up"]


@pytest.fixture(scope="module")
def online() -> Iterator[Internet]:
    with internet() as world:
        world.name({NAME: [world.public[0]]})
        yield world


@pytest.fixture
def barasync(service: RigService, online: Internet, tmp_path: Path) -> Iterator[Barasync]:
    probe.make_image(service.endpoint.socket_path)
    project = tmp_path / "project"
    project.mkdir()
    with asked_for_names(online, service):
        yield Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


@pytest.fixture
def subnet(service: RigService) -> ipaddress.IPv4Network:
    """A subnet that nobody else on this host has."""
    place = networks.place_of(service.directory) or networks.Place(0)
    return list(place.pool.subnets(new_prefix=26))[-1]


def test_each_key_of_a_table_does_to_packets_what_it_says(
    barasync: Barasync, online: Internet
) -> None:
    public4, public6, private4 = online.public[0], online.public[-1], online.private[0]
    tables: dict[str, tuple[str, set[Probe], set[Probe]]] = {
        "denying": (
            f'base = "public"\ndeny = ["{public4} 80/tcp", "{public6}"]',
            {("tcp", public4, 8080), ("udp", public4, 443)},
            {("tcp", public4, 80), ("tcp", public6, 80), ("udp", public6, 443)},
        ),
        "named": (
            f'base = "private"\nhosts = {{ db = "{private4}" }}\ndns = ["{online.nameserver}"]',
            {("tcp", "db", 80)},
            {("tcp", NAME, 80), ("tcp", public4, 80)},
        ),
        "version4": (
            'base = "public"\nipv6 = false',
            {("tcp", public4, 80)},
            {("tcp", public6, 80), ("tcp", private4, 80)},
        ),
        "accepting": (
            f'default = "accept"\ndeny = ["{private4}"]',
            {("tcp", public4, 80), ("tcp", public6, 80), ("tcp", online.private[1], 80)},
            {("tcp", private4, 80)},
        ),
        "inside": (
            'base = "private"\ninternal = true',
            set(),
            {("tcp", private4, 80), ("tcp", public4, 80)},
        ),
    }
    tried = {name: [*reached, *not_reached] for name, (_, reached, not_reached) in tables.items()}
    tried["named"].append(("name", NAME, 0))
    barasync.configure(
        f'[defaults]\nimage = "{probe.IMAGE}"\nworkspace = "none"\n'
        f"[matrix]\nconfig = {json.dumps(list(tables))}\n"
        + "".join(
            f'[config.{name}]\nnetwork = "{name}"\n'
            f"command = {json.dumps(probe.command(tried[name]))}\n[network.{name}]\n{keys}\n"
            for name, (keys, _, _) in tables.items()
        )
    )

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    for name, (_, reached, not_reached) in tables.items():
        said = dict(zip(tried[name], json.loads(barasync.log(f"{NATIVE}-{name}")), strict=True))
        assert {each for each in reached | not_reached if said[each] == "reached"} == reached, said
        if name == "named":
            # The server of the table has answered, and no other that is allowed.
            assert said["name", NAME, 0] == public4


@pytest.fixture
def shop(service: RigService) -> Iterator[str]:
    """A network of podman's that is there, with names."""
    name = "barasync-test-shop"
    body = {"name": name, "dns_enabled": True}
    libpod.request(service.endpoint.socket_path, "POST", "networks/create", body=body)
    yield name
    libpod.request(service.endpoint.socket_path, "DELETE", f"networks/{name}")


@pytest.mark.parametrize("base", ["local", "private"])
def test_a_table_with_servers_of_its_own_has_names_on_a_network_that_it_joins(
    barasync: Barasync, online: Internet, service: RigService, shop: str, base: str
) -> None:
    barasync.configure(
        f'[network.joined]\nbase = "{base}"\njoin = "{shop}"\ndns = ["{online.nameserver}"]\n'
    )
    tried = [("name", NAME, 0), ("name", NATIVE, 0), ("tcp", online.public[0], 80)]
    options = ("run", probe.IMAGE, "--workspace", "none", "--network", "joined")

    ended = barasync(*options, "--", *probe.command(tried))

    assert ended.code == 0, ended.err
    theirs, own, public = json.loads(ended.out)
    assert theirs == online.public[0]
    assert public != "reached"
    # Podman 5 has the network's resolver ask those servers, before that they are asked themselves.
    release = tuple(map(int, service.version.split(".")))
    forwards = quirks.DNS_SERVERS_GO_TO_THE_RESOLVER.is_active(release)
    assert bool(re.fullmatch(r"[0-9.]+", own)) == forwards, own


def test_the_cells_of_a_table_have_its_subnet_and_a_second_run_is_told_who_has_it(
    barasync: Barasync, subnet: ipaddress.IPv4Network, tmp_path: Path
) -> None:
    table = f'[network.own]\nbase = "private"\nsubnets = ["{subnet}"]\n'
    barasync.configure(
        f'[defaults]\nimage = "{probe.IMAGE}"\nworkspace = "none"\nnetwork = "own"\n'
        f'volumes = ["{tmp_path}:/shared"]\n'
        """command = ["sh", "-c", "hostname -i >/shared/address; sleep 1000"]\n""" + table
    )
    other = Barasync(tmp_path / "other", barasync.url, barasync.environ)
    other.directory.mkdir()
    other.configure(table)

    with barasync.running("matrix", "tests") as process:
        wait_until(
            lambda: (tmp_path / "address").is_file() and (tmp_path / "address").read_text() != "",
            "the cell runs",
        )
        addresses = (tmp_path / "address").read_text().split()
        first = barasync.record().name
        ended = other(
            *("run", probe.IMAGE, "--workspace", "none", "--network", "own", "--", "echo", "ran")
        )
        process.terminate()
        process.communicate()

    assert any(ipaddress.ip_address(each) in subnet for each in addresses)
    assert (ended.code, ended.out) == (4, "")
    assert (
        f"barasync.toml: network.own.subnets[0]: {subnet} is taken by the network"
        f" barasync-{first}-own of the run {first}" in ended.err
    )
    assert "hint: leave `subnets` out" in ended.err


@pytest.mark.parametrize("base", ["public", "private", "local"])
def test_published_ports_are_reached_by_tcp_and_udp_under_every_base(
    barasync: Barasync, base: str
) -> None:
    barasync.configure(
        f'[network.served]\nbase = "{base}"\nports = ["127.0.0.1::9000", "127.0.0.1::9000/udp"]\n'
    )
    options = ("run", probe.IMAGE, "--workspace", "none", "--network", "served")

    with barasync.running(*options, "--", "sh", "-c", served()) as process:
        errors = process.stderr
        assert errors is not None
        told = [*iter(lambda: errors.readline().decode(), "up\n")]
        places = dict(
            found.groups()
            for line in told
            if (found := re.fullmatch(r"barasync: 9000/(\w+) at 127\.0\.0\.1:(\d+)\n", line))
        )
        said = (asked_by_tcp(int(places["tcp"])), asked_by_udp(int(places["udp"])))
        process.terminate()
        process.communicate()

    assert said == (b"here\n", b"here\n")


def test_a_port_can_be_one_of_a_service(barasync: Barasync) -> None:
    command = json.dumps(["sh", "-c", served()])
    barasync.configure(
        f"""
        [defaults]
        image = "{probe.IMAGE}"
        workspace = "none"
        network = "served"
        command = ["sh", "-c", "echo ready; sleep 1000"]
        [[defaults.services]]
        image = "{probe.IMAGE}"
        name = "web"
        command = {command}
        ready = "test -e /tmp/up"
        [network.served]
        base = "public"
        ports = ["127.0.0.1::9000"]
        """
    )

    with barasync.running("matrix", "tests") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        events = (barasync.record() / "events.jsonl").read_text()
        port = re.search(r'"9000/tcp":\["127\.0\.0\.1:(\d+)"\]', events)
        assert port is not None, events
        said = asked_by_tcp(int(port[1]))
        process.terminate()
        out, _ = process.communicate()

    assert line.endswith(b"| ready\n")
    assert said == b"here\n"
    assert f"ports      {NATIVE}: 9000/tcp at 127.0.0.1:{port[1]}" in out.decode()


def served() -> str:
    python = " ".join(SERVES)
    return f"{python} & until test -e /tmp/up; do sleep 0.1; done; echo up >&2; wait"


def asked_by_tcp(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return connection.recv(100)


def asked_by_udp(port: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect(("127.0.0.1", port))
        asking.send(b"hello")
        return asking.recv(100)
