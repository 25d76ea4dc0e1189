"""What is shown of a network that a table of the command line is about."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake.service import FakeService
from tests.rig.command import Barasync

WEB = ("--define=network.web.allow=443/tcp",)


@pytest.fixture
def barasync(tmp_path: Path) -> Iterator[Barasync]:
    """The command line in a directory without a file, at a podman without a network of cells."""
    with FakeService.running() as service:
        environ = {**os.environ, "NO_COLOR": "1"}
        yield Barasync(tmp_path, service.endpoint.url, environ)


def test_a_network_that_cells_would_join_is_shown_as_theirs(barasync: Barasync) -> None:
    made = barasync("network", "create", "--preset=public", "web")
    assert made.code == 0, made.err

    shown = barasync("network", "show", *WEB, "web")
    data = json.loads(barasync("network", "show", "--json", *WEB, "web").out)

    assert (shown.code, shown.err) == (0, "")
    assert "network       web, which is there already\n" in shown.out
    assert "base          public: " in shown.out
    assert (data["join"], data["base"], data["allow"]) == ("web", "public", ["443/tcp"])


def test_a_table_of_another_name_is_of_a_network_of_the_runs_own(barasync: Barasync) -> None:
    barasync("network", "create", "other")

    shown = barasync("network", "show", *WEB, "web")

    assert "network       of the run's own\n" in shown.out


def test_without_a_service_a_table_is_shown_as_it_is(tmp_path: Path) -> None:
    barasync = Barasync(tmp_path, "unix:///nowhere", {**os.environ, "NO_COLOR": "1"})

    shown = barasync("network", "show", *WEB, "web")

    assert (shown.code, shown.err) == (0, "")
    assert "network       of the run's own\n" in shown.out


def test_rules_are_the_same_on_every_network_and_ask_nobody(tmp_path: Path) -> None:
    barasync = Barasync(tmp_path, "unix:///nowhere", {**os.environ, "NO_COLOR": "1"})

    assert barasync("network", "show", "--rules", *WEB, "web").code == 0
