"""Which network a cell of a plan has, and what is said where it cannot have it."""

from __future__ import annotations

from typing import Any

import pytest

from barasync.config.capabilities import LIFTING
from barasync.config.load import parse as parse_document
from barasync.config.origin import Origin
from barasync.config.policies import PRESETS, Preset, PublishedPort
from barasync.config.publishing import parse_publish
from barasync.config.schema import CellTable
from barasync.errors import ConfigError
from barasync.matrix.plan import Plan, Request, plan, plan_run
from barasync.matrix.platforms import Platform

NATIVE = Platform("amd64")
FILE = """
[defaults]
image = "x"
network = "build"
[network.build]
base = "private"
[network.tests]
base = "isolated"
"""
HINT = (
    "there are the presets public, private, local, isolated, podman's none, bridge, host, and this"
    " project's own build, tests; [network.NAME] declares one, `barasync network create NAME` makes"
    " one"
)


def request(text: str, **fields: Any) -> Request:
    document = parse_document(text, Origin())
    return Request(native=NATIVE, rule="tests", document=document, **fields)


def planned(text: str = FILE, network: str | None = None, **fields: Any) -> Plan:
    options = CellTable() if network is None else CellTable(network=network)
    return plan(request(text, options=options, **fields))


def problem(*given: Any, **fields: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        planned(*given, **fields)
    return caught.value


def test_a_plan_has_each_policy_of_its_cells_once() -> None:
    text = FILE + '[config.a]\n[config.b]\nnetwork = "none"\n[config.c]\nnetwork = "tests"\n'
    matrix = '[matrix]\narch = ["amd64", "arm64"]\nconfig = ["a", "b", "c"]\n'

    assert [policy.name for policy in planned(text + matrix).policies] == ["build", "tests"]


def test_a_cell_has_the_policy_that_its_network_names() -> None:
    (cell,) = planned().cells

    assert (cell.settings.network, cell.provenance["network"]) == (
        "build",
        "barasync.toml: defaults.network",
    )
    assert cell.policy is not None
    assert (cell.policy.name, cell.policy.base) == ("build", Preset.PRIVATE)


@pytest.mark.parametrize("preset", [preset.value for preset in Preset])
def test_a_preset_is_a_policy_that_needs_no_file(preset: str) -> None:
    options = CellTable(image="x", network=preset)
    (cell,) = plan(Request(native=NATIVE, rule="tests", options=options)).cells
    (alone,) = plan_run(Request(native=NATIVE, options=options), "x", ["true"]).cells

    assert cell.policy == alone.policy == PRESETS[preset]


@pytest.mark.parametrize("mode", ["none", "bridge"])
def test_a_mode_of_podmans_has_no_policy(mode: str) -> None:
    (cell,) = planned(network=mode).cells

    assert (cell.settings.network, cell.policy) == (mode, None)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"network": "biuld"}, "--network"),
        ({"environ": {"BARASYNC_NETWORK": "biuld"}}, "BARASYNC_NETWORK"),
        ({"environ": {"BARASYNC_NETWORK": "biuld"}, "network": "build"}, "BARASYNC_NETWORK"),
        ({"text": FILE + "[config.a]\nnetwork = 'biuld'"}, "barasync.toml: config.a.network"),
        (
            {"text": FILE + "[[matrix.include]]\narch = 'arm64'\nnetwork = 'biuld'"},
            "barasync.toml: matrix.include[0].network",
        ),
    ],
)
def test_a_network_that_is_not_there_is_named_wherever_it_was_given(
    given: dict[str, Any], place: str
) -> None:
    error = problem(**given)

    assert str(error) == f"{place}: there is no network 'biuld'; did you mean 'build'?"
    assert error.hint == HINT


def test_a_misspelt_preset_is_named_without_a_file_too() -> None:
    with pytest.raises(
        ConfigError, match="--network: there is no network 'pubic'; did you mean 'p"
    ):
        plan(Request(native=NATIVE, rule="t", options=CellTable(image="x", network="pubic")))


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"network": "host"}, "--network"),
        ({"environ": {"BARASYNC_NETWORK": "host"}}, "BARASYNC_NETWORK"),
        ({"text": "[defaults]\nimage = 'x'\nnetwork = 'host'"}, "barasync.toml: defaults.network"),
    ],
)
def test_the_network_of_the_host_takes_an_option_that_allows_it(
    given: dict[str, Any], place: str
) -> None:
    error = problem(**given)

    assert str(error).startswith(f"{place}: cell amd64 would have the network of this host")
    assert "--allow-host-network" in (error.hint or "")
    (cell,) = planned(**given, allow_host_network=True).cells
    assert (cell.settings.network, cell.policy) == ("host", None)


def test_one_container_of_its_own_asks_for_the_network_of_the_host_as_well() -> None:
    asked = Request(native=NATIVE, options=CellTable(network="host"))

    with pytest.raises(ConfigError, match="cell amd64 would have the network of this host"):
        plan_run(asked, "x", ["true"])


def test_cells_that_are_left_out_may_have_any_network() -> None:
    text = FILE + "[matrix]\nconfig = ['a', 'b']\n[config.b]\nnetwork = 'host'"

    assert [cell.id for cell in planned(text, exclude=("*-b",)).cells] == ["amd64-a"]


@pytest.mark.parametrize("capability", sorted(LIFTING))
def test_a_capability_that_lifts_rules_is_refused_under_a_policy(capability: str) -> None:
    error = problem(f"{FILE}[config.a]\ncap_add = ['CHOWN', '{capability}']", config=("a",))

    assert str(error).startswith(
        f"barasync.toml: config.a.cap_add: with {capability} cell amd64-a would not be held by its"
        " network 'build', because it "
    )
    assert "`network = 'none'` or 'bridge'" in (error.hint or "")


def test_a_preset_bears_it_no_more_and_an_option_adds_it_no_less() -> None:
    options = CellTable(image="x", network="local", cap_add=["cap_net_raw"])

    with pytest.raises(
        ConfigError, match=r"^--cap-add: with NET_RAW cell amd64 would not be held by"
    ):
        plan_run(Request(native=NATIVE, options=options), "x", ["true"])


def test_other_capabilities_go_with_a_policy_and_all_go_without() -> None:
    debugging = CellTable(cap_add=["SYS_PTRACE", "CAP_PERFMON"])
    any_at_all = CellTable(cap_add=["ALL"], network="bridge")

    (held,) = plan(request(FILE, options=debugging)).cells
    (free,) = plan(request(FILE, options=any_at_all)).cells

    assert held.settings.cap_add == ("SYS_PTRACE", "PERFMON")
    assert free.settings.cap_add == ("ALL",)


def published(*ports: str, others: tuple[str, ...] = ()) -> str:
    return f"""
[defaults]
image = "x"
[matrix]
config = ["a", "b"]
[config.a]
network = "web"
[config.b]
network = "{"other" if others else "web"}"
[network.web]
ports = {list(ports)}
[network.other]
ports = {list(others)}
"""


def test_cells_that_would_have_the_same_port_of_the_host_clash() -> None:
    error = problem(published("8080:80"))

    assert str(error) == (
        "barasync.toml: config.b.network: the cells amd64-a and amd64-b would both have 8080/tcp of"
        " the host, by the network 'web'"
    )
    assert error.hint == (
        'leave the host\'s port out of `ports` ("80"), and each cell gets one that is free, or'
        " --select one cell"
    )


@pytest.mark.parametrize(
    ("ports", "others"),
    [
        ("8080:80", "127.0.0.1:8080:90"),
        ("0.0.0.0:8080:80", "127.0.0.1:8080:90"),
        ("[::1]:8080:80", "[::1]:8080:90"),
    ],
)
def test_cells_of_two_networks_clash_where_their_addresses_meet(ports: str, others: str) -> None:
    assert "by the network 'other' and 'web'" in str(problem(published(ports, others=(others,))))


@pytest.mark.parametrize(
    ("ports", "others"),
    [
        ("80", "80"),
        ("127.0.0.1::80", "127.0.0.1::80"),
        ("8080:80", "8080:80/udp"),
        ("8080:80", "8081:80"),
        ("127.0.0.1:8080:80", "127.0.0.2:8080:80"),
        ("0.0.0.0:8080:80", "[::]:8080:80"),
    ],
)
def test_cells_do_not_clash_over_ports_that_are_two(ports: str, others: str) -> None:
    assert len(planned(published(ports, others=(others,))).cells) == 2


def test_a_cell_that_is_not_selected_takes_no_port() -> None:
    assert len(planned(published("8080:80"), select=("*-b",)).cells) == 1


# Ports of the command line


def test_every_cell_publishes_the_ports_of_the_command_line_whatever_its_network() -> None:
    text = FILE + '[matrix]\nconfig = ["a", "b"]\n[config.a]\nnetwork = "local"\n'

    cells = planned(text, publish=parse_publish(["80"])).cells

    assert [cell.policy and cell.policy.name for cell in cells] == ["local", "build"]
    assert [cell.policy and cell.policy.ports for cell in cells] == [(PublishedPort(80),)] * 2
    assert PRESETS["local"].ports == ()


@pytest.mark.parametrize("network", ["none", "bridge", "host"])
def test_ports_are_not_published_where_no_policy_would_let_them_in(network: str) -> None:
    ports = parse_publish(["8080:80"])

    error = problem(FILE, network, publish=ports, allow_host_network=True)

    assert str(error) == (
        f"--publish 8080:80: cell amd64 has podman's network '{network}', and publishes no ports"
    )
    assert "--network private" in (error.hint or "")


def test_one_port_of_the_host_is_for_one_cell() -> None:
    text = FILE + '[matrix]\nconfig = ["a", "b"]\n'

    error = problem(text, publish=parse_publish(["8080:80"]))

    assert str(error) == (
        "--publish 8080:80: the cells amd64-a and amd64-b would both have 8080/tcp of the host, by"
        " the network 'build'"
    )
    assert error.hint == (
        'leave the host\'s port out ("80"), and each cell gets one that is free, or --select one'
        " cell"
    )
