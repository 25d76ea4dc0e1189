"""The fake for the tests of faults; see `tests/fake`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake.installation import FAKES, FakeInstallation
from tests.fake.service import FakeService
from tests.faults.building import Site


@pytest.fixture(params=FAKES, ids=lambda installation: installation.name)
def service(request: pytest.FixtureRequest) -> Iterator[FakeService]:
    """A service without faults or containers, as each of the podmans that are supported."""
    installation = request.param
    assert isinstance(installation, FakeInstallation)
    with installation.running() as service:
        yield service


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the engine try what does not work once, and wait for a death for a moment only."""
    monkeypatch.setattr("barasync.engine.ending._LOOK_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("barasync.aiopodman.lifetime._REMOVE_PAUSES", (0.0,))
    monkeypatch.setattr("barasync.engine.drain._DEATH_SECONDS", 0.05)


@pytest.fixture
def site(service: FakeService, tmp_path: Path) -> Site:
    """A project with a file, and what builds steps of it."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src/file").write_text("text")
    return Site(service, project, tmp_path / "logs")
