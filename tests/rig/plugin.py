"""Contract tests cannot be forgotten: how many ran against which podman is always said.

Hooks of pytest; `tests/conftest.py` makes them known.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fake.installation import FakeInstallation
from tests.rig import debian, services
from tests.rig.signals import end_as_with_ctrl_c

CONTRACT = Path(__file__).parents[1] / "contract"

HOST_PODMAN = {"host_place", "alone"}
"""The fixtures that are only of this host's podman."""

_PROPERTY = "podman"


@dataclass(slots=True)
class Ledger:
    """Which podmans the contract tests have to run against, and what became of the tests."""

    required: tuple[str, ...] = ()
    left_out: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, version: str, outcome: str) -> None:
        self.outcomes.setdefault(version, Counter())[outcome] += 1

    def missing(self) -> list[str]:
        """Return the required versions for which no test ran to its end."""
        ran = {
            version
            for version, counted in self.outcomes.items()
            if counted["passed"] + counted["failed"] > 0
        }
        return [version for version in self.required if version not in ran]

    def summary(self) -> str:
        """Return `contract tests: 4.3.1: 57 passed, 5.4.2: 55 passed, 1 failed`."""
        parts = []
        for version in sorted({*self.required, *self.outcomes}):
            counted = self.outcomes.get(version, Counter())
            numbers = [f"{number} {outcome}" for outcome, number in sorted(counted.items())]
            parts.append(f"{version}: {', '.join(reversed(numbers)) or 'none ran'}")
        return f"contract tests: {', '.join(parts)}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-podman",
        action="store_true",
        help="leave out the contract tests, which need real podmans and root",
    )


def pytest_configure(config: pytest.Config) -> None:
    end_as_with_ctrl_c()
    config.pluginmanager.register(ContractTests(config), "barasync-contract-tests")


class ContractTests:
    """Selects the contract tests, prepares what they need, and accounts for them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._ledger = Ledger()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        contract = [
            item
            for item in items
            if item.path.is_relative_to(CONTRACT) and not _is_of_the_fake(item)
        ]
        if self._config.option.no_podman:
            self._ledger.left_out = len(contract)
            items[:] = [item for item in items if item not in contract]
            self._config.hook.pytest_deselected(items=contract)
            return
        for item in contract:
            version = _version_of(item)
            if version is not None:
                item.user_properties.append((_PROPERTY, version))
        if _whole_folder_selected(self._config):
            self._ledger.required = tuple(one.version for one in services.installations())

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Make what takes long before the first test, whose time limit it would eat up."""
        if self._config.option.collectonly or debian.podman_version_in_cache():
            return
        versions = {version for item in session.items for _, version in item.user_properties}
        if not versions or services.trixie_podman().version not in versions:
            return
        self._write("making a Debian 13 root with podman: about 20 s, once")
        # A failure is remembered, and is that of every test that needs the root.
        with suppress(debian.SetupError):
            debian.root_with_podman()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        version = dict(report.user_properties).get(_PROPERTY)
        if version is not None and (report.when == "call" or report.outcome != "passed"):
            self._ledger.count(str(version), report.outcome)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._ledger.missing() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        ledger = self._ledger
        if ledger.left_out:
            text = f"{ledger.left_out} CONTRACT TESTS WERE LEFT OUT (--no-podman)"
            terminalreporter.write_sep("!", text, yellow=True, bold=True)
        for version in ledger.missing():
            text = f"NO CONTRACT TEST RAN against podman {version}"
            terminalreporter.write_sep("!", text, red=True, bold=True)
        if ledger.outcomes:
            terminalreporter.write_line(ledger.summary())

    def _write(self, line: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(line)


def _is_of_the_fake(item: pytest.Item) -> bool:
    """Whether a test runs against the stand-in, which is no podman and needs none."""
    callspec = getattr(item, "callspec", None)
    return callspec is not None and isinstance(
        callspec.params.get("installation"), FakeInstallation
    )


def _version_of(item: pytest.Item) -> str | None:
    """Return the podman that a test runs against; `None` for one that stands in for podman."""
    callspec = getattr(item, "callspec", None)
    installation = callspec.params.get("installation") if callspec else None
    if isinstance(installation, services.Installation):
        return installation.version
    if any(name.startswith("rootless_") for name in getattr(item, "fixturenames", ())):
        return services.rootless_podman().version
    if HOST_PODMAN & set(getattr(item, "fixturenames", ())):
        return services.host_podman().version
    return None


def _whole_folder_selected(config: pytest.Config) -> bool:
    """Whether the command line asks for all contract tests, not for some of them."""
    if config.option.keyword or config.option.collectonly:
        return False
    roots = [Path(config.invocation_params.dir, argument) for argument in config.args]
    return any(CONTRACT.is_relative_to(root) for root in roots)
