"""Networks of `barasync network create` as networks of cells, by what reaches what."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rig import libpod, probe
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, Ended
from tests.rig.internet import Internet, asked_for_names, internet
from tests.rig.services import RigService

NATIVE = native_architecture()
MADE = "barasync-test-made"


@pytest.fixture(scope="module")
def online() -> Iterator[Internet]:
    with internet() as world:
        yield world


@pytest.fixture
def barasync(service: RigService, online: Internet, tmp_path: Path) -> Iterator[Barasync]:
    """The command line in a directory without a file; no network is left."""
    probe.make_image(service.endpoint.socket_path)
    before = libpod.networks(service.endpoint.socket_path)
    with asked_for_names(online, service):
        command = Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
        try:
            yield command
        finally:
            for name in libpod.networks(service.endpoint.socket_path) - before:
                libpod.request(service.endpoint.socket_path, "DELETE", f"networks/{name}")


def tried(barasync: Barasync, tries: list[tuple[str, str, int]], *options: str) -> list[bool]:
    ended = barasync("run", *options, probe.IMAGE, "--", *probe.command(tries))
    assert ended.code == 0, ended.err
    return [said == "reached" for said in json.loads(ended.out)]


def made(barasync: Barasync, *options: str) -> Ended:
    ended = barasync("network", "create", *options, MADE)
    assert ended.code == 0, ended.err
    return ended


@pytest.mark.parametrize(
    ("preset", "public", "private"),
    [
        ("public", True, False),
        ("private", False, True),
        (None, False, True),
        ("local", False, False),
        ("isolated", False, False),
    ],
)
def test_cells_reach_what_the_preset_of_their_network_says(
    barasync: Barasync, online: Internet, preset: str | None, *, public: bool, private: bool
) -> None:
    ended = made(barasync, *([] if preset is None else [f"--preset={preset}"]))
    tries = [("tcp", online.public[0], 80), ("tcp", online.private[0], 80)]

    assert tried(barasync, tries, f"--network={MADE}") == [public, private]
    assert ("have no interface" in ended.err) == (preset in {"local", "isolated"})


def test_cells_of_different_runs_are_on_it_and_find_each_other_by_name(barasync: Barasync) -> None:
    shown = json.loads((made(barasync), barasync("network", "show", "--json", MADE))[1].out)
    subnet = ipaddress.ip_network(shown["subnets"][0]["subnet"])
    asking = ("--config=b", "--define=config.b.pids=100", f"--network={MADE}")

    begun = barasync(
        *("run", "--detach", "--config=a", "--define=config.a.pids=100", f"--network={MADE}"),
        *(probe.IMAGE, "--", "sleep", "1000"),
    )
    try:
        assert begun.code == 0, begun.err
        found = barasync(
            *("run", *asking, probe.IMAGE, "--"), *probe.command([("name", f"{NATIVE}-a", 0)])
        )
        other = barasync("run", "--network=private", probe.IMAGE, "--", "hostname", "-i")
    finally:
        barasync("container", "remove", "--force", begun.out.strip())

    assert shown["preset"] == "private"
    assert found.code == 0, found.err
    (address,) = json.loads(found.out)
    assert ipaddress.ip_address(address) in subnet
    assert not any(ipaddress.ip_address(each) in subnet for each in other.out.split())


def test_a_table_of_the_command_line_is_on_the_network_of_its_name_and_keeps_its_preset(
    barasync: Barasync, online: Internet
) -> None:
    made(barasync, "--preset=private", "--subnet=10.211.17.0/24")
    tries = [("tcp", online.public[0], port) for port in (80, 8080)]
    allowed = f"--define=network.{MADE}.allow={online.public[0]} 80/tcp"

    reached = tried(
        barasync, [*tries, ("tcp", online.private[0], 80)], f"--network={MADE}", allowed
    )
    address = barasync(
        "run", f"--network={MADE}", allowed, probe.IMAGE, "--", "hostname", "-i"
    ).out.split()
    alone = tried(
        barasync,
        [*tries, ("tcp", online.private[0], 80)],
        f"--network={MADE}",
        allowed,
        f"--define=network.{MADE}.base=local",
    )

    assert reached == [True, False, True]
    assert any(each.startswith("10.211.17.") for each in address)
    assert alone == [True, False, False]


def test_a_configuration_of_the_command_line_can_have_it_in_a_matrix(barasync: Barasync) -> None:
    made(barasync, "--subnet=10.211.18.0/24")
    barasync.configure(
        f'[defaults]\nimage = "{probe.IMAGE}"\nworkspace = "none"\nnetwork = "none"\n'
        'command = ["hostname", "-i"]\n'
    )

    ended = barasync("matrix", "tests", "--config=a", f"--define=config.a.network={MADE}")

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log(f"{NATIVE}-a").startswith("10.211.18.")


def test_networks_of_others_and_of_nobody_are_refused(
    barasync: Barasync, service: RigService
) -> None:
    body = {"name": "barasync-test-foreign"}
    libpod.request(service.endpoint.socket_path, "POST", "networks/create", body=body)

    others = barasync("run", "--network=barasync-test-foreign", probe.IMAGE, "--", "true")
    nobodys = barasync("run", "--network=barasync-test-none", probe.IMAGE, "--", "true")
    taken = barasync("network", "create", "--internal", "--preset=public", MADE)

    assert (others.code, others.out) == (2, "")
    assert "the network barasync-test-foreign was made by somebody else" in others.err
    assert "--define network.NAME.join=barasync-test-foreign" in others.err
    assert nobodys.code == 2
    assert "--network: there is no network 'barasync-test-none'" in nobodys.err
    assert taken.code == 2
    assert "--internal: such a network has no way to what the preset 'public'" in taken.err


def test_a_shell_in_a_failed_cell_is_on_the_network_that_the_cell_had(barasync: Barasync) -> None:
    made(barasync, "--subnet=10.211.19.0/24")
    # The network of a variable would be before that of the cell.
    barasync = replace(barasync, network=None)
    try:
        failed = barasync("run", f"--network={MADE}", "--keep-failed", probe.IMAGE, "--", "false")
        shell = barasync("shell", "--from-failed", "last", NATIVE, "--", "hostname", "-i")
    finally:
        barasync("clean", "--kept")

    assert failed.code == 1
    assert shell.code == 0, shell.err
    assert shell.out.startswith("10.211.19.")
