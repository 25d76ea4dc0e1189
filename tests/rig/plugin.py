"""Contract tests cannot be forgotten: how many ran against which podman is always said.

Hooks of pytest; `tests/conftest.py` makes them known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from barasync.networks.host import has_ipv6
from tests.fake.installation import FakeInstallation
from tests.rig import debian, services
from tests.rig.parts import Part
from tests.rig.signals import end_as_with_ctrl_c
from tests.rig.turns import turn

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
    parser.addoption(
        "--part",
        type=Part,
        choices=list(Part),
        help="run only one part of the tests: see tests/rig/at_once.py",
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
        contract = [item for item in items if _needs_podman(item)]
        if self._config.option.no_podman:
            self._ledger.left_out = len(contract)
            items[:] = [item for item in items if item not in contract]
            self._config.hook.pytest_deselected(items=contract)
            return
        for item in contract:
            version = _version_of(item)
            if version is not None:
                item.user_properties.append((_PROPERTY, version))
        chosen: Part | None = self._config.option.part
        if chosen is not None:
            others = [item for item in items if part_of(item) is not chosen]
            items[:] = [item for item in items if part_of(item) is chosen]
            self._config.hook.pytest_deselected(items=others)
        if _whole_folder_selected(self._config):
            self._ledger.required = required_by(chosen)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Make what takes long before the first test, whose time limit it would eat up.

        Raises:
            pytest.UsageError: contract tests are to run, and this host cannot run them.
        """
        if self._config.option.collectonly:
            return
        if any(map(_needs_podman, session.items)) and not has_ipv6():
            raise pytest.UsageError(
                "this host has no IPv6, which the contract tests of networks need;"
                " --no-podman leaves all contract tests out"
            )
        if debian.podman_version_in_cache():
            return
        versions = {version for item in session.items for _, version in item.user_properties}
        if not versions or services.trixie_podman().version not in versions:
            return
        self._write("making a Debian 13 root with podman: about 20 s, once")
        # A failure is remembered, and is that of every test that needs the root.
        with suppress(debian.SetupError):
            debian.root_with_podman()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait for other sessions before the time limit of a test begins.

        A test without podman has nothing to do with them, but in a run of all tests: every command
        that it starts removes what dead services have left on the host.
        """
        if part_of(item) is Part.REST and self._config.option.part is None:
            return (yield)
        alone = item.get_closest_marker("whole_host") is not None
        with turn(debian.CACHE, alone=alone, tell=self._write):
            return (yield)

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


def required_by(part: Part | None) -> tuple[str, ...]:
    """Return the podmans that a part, or all of them, has to run contract tests against."""
    versions = [one.version for one in services.installations()]
    return tuple(each for each in versions if part in {None, _part_of_version(each)})


def part_of(item: pytest.Item) -> Part:
    """Return the part that a test belongs to: each test is in one."""
    return _part_of_version(_version_of(item)) if _needs_podman(item) else Part.REST


def _part_of_version(version: str | None) -> Part:
    """Return the part of a podman, and of contract tests that are of none."""
    ours = {None, services.host_podman().version, services.rootless_podman().version}
    return Part.HOST if version in ours else Part.TRIXIE


def _needs_podman(item: pytest.Item) -> bool:
    return item.path.is_relative_to(CONTRACT) and not _is_of_the_fake(item)


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
