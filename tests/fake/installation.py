"""The fake among the installations that the contract tests run against."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.fake.service import FakeService


@dataclass(frozen=True, slots=True)
class FakeInstallation:
    """The fake as a podman of one version."""

    version: str

    @property
    def name(self) -> str:
        """The name in the ids of tests."""
        return f"fake-{self.version}"

    def running(self) -> AbstractContextManager[FakeService]:
        """Run a service for the block."""
        return FakeService.running(version=self.version)


FAKES = (FakeInstallation("5.4.2"), FakeInstallation("4.3.1"))
