"""Which network a cell of a plan has, and what is said where it cannot have it."""

from __future__ import annotations

from typing import Any

import pytest

from barasync.config.load import parse as parse_document
from barasync.config.origin import Origin
from barasync.config.policies import PRESETS, Preset
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
    " project's own build, tests; [network.NAME] declares one"
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
