"""`barasync run` on real podman: its image, how its words are read, what it reads on its stdin."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rig.command import Barasync
from tests.rig.services import RigService

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def barasync(service: RigService, no_run_stays: None, tmp_path: Path) -> Barasync:
    """The command line in an empty project; nothing of a run is left after it."""
    del no_run_stays
    project = tmp_path / "project"
    project.mkdir()
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return Barasync(project, service.endpoint.url, environ, timeout=100)


# Of which image


def test_the_image_of_the_settings_is_that_of_the_configuration(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "localhost/of-no-configuration"
        [config.small]
        image = "{busybox}"
        env = {{ OF = "small" }}
        """
    )

    ended = barasync("run", "-", "--config", "small", "--", "sh", "-c", "echo $OF")

    assert (ended.code, ended.out) == (0, "small\n"), ended.err


def test_the_image_of_settings_that_have_none_is_said_before_anything_runs(
    barasync: Barasync,
) -> None:
    ended = barasync("run", "-", "--", "true")

    assert (ended.code, ended.out) == (2, "")
    assert "no image is given for cell" in ended.err
    assert "name one in place of -" in ended.err
