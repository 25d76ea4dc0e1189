"""`run --detach`: what is asked for, and what a container that goes on can have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from barasync.aiopodman import HealthCheck
from barasync.cli.detaching import Asked, detached_plan, detachment_of
from barasync.cli.optional_values import with_values
from barasync.config.destinations import parse_entry
from barasync.config.policies import PRESETS
from barasync.config.schema import CellSettings
from barasync.config.services import Service
from barasync.engine.detached import Detachment, HealthNumbers
from barasync.errors import ConfigError
from barasync.matrix.plan import Plan
from tests.unit.world import cell

NOTHING = Asked(
    detach=True,
    wait_healthy=None,
    health_cmd=None,
    health_interval=None,
    health_timeout=None,
    health_retries=None,
    health_start_period=None,
)


def plan_of(settings: CellSettings, **more: Any) -> Plan:
    return Plan(rule="", args=(), cells=(replace(cell("a"), settings=settings, **more),))


def test_a_container_ends_with_the_run_unless_it_is_detached() -> None:
    assert detachment_of(replace(NOTHING, detach=False)) is None
    assert detachment_of(NOTHING) == Detachment()


def test_a_check_has_podmans_numbers_where_none_are_given() -> None:
    detachment = detachment_of(replace(NOTHING, health_cmd="pg_isready", wait_healthy=9.0))

    assert detachment == Detachment(
        health_check=HealthCheck(command="pg_isready", interval=30.0, timeout=30.0, retries=3),
        wait_seconds=9.0,
    )


def test_the_numbers_of_a_check_are_podmans_and_those_of_the_waiting() -> None:
    asked = replace(
        NOTHING,
        health_cmd='["/check", "-q"]',
        health_interval=2.0,
        health_timeout=3.0,
        health_retries=4,
        health_start_period=5.0,
    )

    check = HealthCheck(
        command=("/check", "-q"), interval=2.0, timeout=3.0, retries=4, start_period=5.0
    )
    detachment = detachment_of(asked)
    assert detachment is not None
    assert (detachment.health_check, detachment.every) == (check, 2.0)


def test_numbers_alone_are_for_the_check_of_the_image() -> None:
    detachment = detachment_of(replace(NOTHING, health_retries=4, health_start_period=5.0))

    numbers = HealthNumbers(retries=4, start_period=5.0)
    assert detachment == Detachment(health_numbers=numbers)
    changed = numbers.over(HealthCheck(command="x", interval=7.0, retries=2))
    assert changed == HealthCheck(command="x", interval=7.0, retries=4, start_period=5.0)


def test_a_line_that_begins_with_a_bracket_need_not_be_a_list() -> None:
    detachment = detachment_of(replace(NOTHING, health_cmd="[ -e /ready ]"))

    assert detachment is not None
    assert detachment.health_check is not None
    assert detachment.health_check.command == "[ -e /ready ]"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"detach": False, "wait_healthy": 1.0}, "--wait-healthy is for a container that goes on"),
        ({"detach": False, "health_cmd": "x"}, "--health-cmd is for a container that goes on"),
        ({"detach": False, "health_retries": 2}, "--health-retries is for a container that goes"),
        ({"health_retries": 0}, "--health-retries: 0 is not above 0"),
        ({"health_cmd": "x", "health_interval": -1.0}, "--health-interval: -1 is not a number"),
        ({"wait_healthy": 0.0}, "--wait-healthy: 0 is not a number of seconds above 0"),
        ({"health_cmd": " "}, "--health-cmd: the command is empty"),
        ({"health_cmd": "[]"}, "--health-cmd: a list of words is expected"),
        ({"health_cmd": "[1]"}, "--health-cmd: a list of words is expected"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        detachment_of(replace(NOTHING, **given))
    assert str(caught.value).startswith(said)


def test_without_a_word_on_it_there_is_no_timeout() -> None:
    plan = plan_of(CellSettings())
    given = plan_of(CellSettings(timeout=9.0), provenance={"timeout": "--timeout"})

    assert detached_plan(plan, {}).cells[0].settings.timeout is None
    assert detached_plan(given, {}).cells[0].settings.timeout == 9.0


def test_that_secrets_are_not_masked_in_podmans_log_is_said() -> None:
    (note,) = detached_plan(plan_of(CellSettings(secrets=("KEY=/key",))), {}).notes

    assert "is not masked in podman's log" in note


def test_options_for_what_has_ended_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--snapshot cannot be had with --detach"):
        detached_plan(plan_of(CellSettings()), {"--artifact": False, "--snapshot": True})


def test_services_end_with_the_command() -> None:
    services = (Service(image="db", name="db"),)

    with pytest.raises(ConfigError, match="its services end with this command"):
        detached_plan(plan_of(CellSettings(services=services)), {})


def test_host_names_of_a_policy_are_looked_up_by_the_command() -> None:
    allow = (parse_entry("example.org 443/tcp"),)
    policy = replace(PRESETS["local"], name="shop", allow=allow)

    with pytest.raises(ConfigError, match="network 'shop' names hosts"):
        detached_plan(plan_of(CellSettings(), policy=policy), {})


def test_a_value_that_was_left_out_is_said__and_what_is_behind_the_dashes_is_not_ours() -> None:
    words = ["--wait-healthy", "image", "--wait-healthy=5", "--", "--wait-healthy"]

    assert with_values(words, {"--wait-healthy": "60"}) == [
        *("--wait-healthy=60", "image", "--wait-healthy=5"),
        *("--", "--wait-healthy"),
    ]
