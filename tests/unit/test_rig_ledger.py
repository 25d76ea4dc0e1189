"""The account of the contract tests, which lets none be forgotten."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.rig import services
from tests.rig.parts import Part
from tests.rig.plugin import CONTRACT, ContractTests, Ledger, required_by


def ledger(**counts: dict[str, int]) -> Ledger:
    made = Ledger(required=("4.3.1", "5.4.2"))
    for version, outcomes in counts.items():
        for outcome, number in outcomes.items():
            for _ in range(number):
                made.count(version.strip("v").replace("_", "."), outcome)
    return made


def test_a_version_without_a_test_is_missing() -> None:
    assert ledger(v4_3_1={"passed": 2}).missing() == ["5.4.2"]


def test_a_skipped_test_has_not_run() -> None:
    assert ledger(v4_3_1={"passed": 1}, v5_4_2={"skipped": 3}).missing() == ["5.4.2"]


def test_a_failed_test_has_run() -> None:
    assert ledger(v4_3_1={"passed": 1}, v5_4_2={"failed": 1}).missing() == []


def test_the_summary_counts_per_version() -> None:
    counted = ledger(v4_3_1={"passed": 57}, v5_4_2={"passed": 55, "failed": 1})
    assert counted.summary() == "contract tests: 4.3.1: 57 passed, 5.4.2: 55 passed, 1 failed"


def test_the_summary_says_where_nothing_ran() -> None:
    assert ledger(v5_4_2={"passed": 1}).summary() == (
        "contract tests: 4.3.1: none ran, 5.4.2: 1 passed"
    )


def test_what_nobody_asked_for_is_not_missing() -> None:
    assert Ledger().missing() == []


def test_the_parts_together_need_every_podman_and_each_is_needed_by_one() -> None:
    everything = [one.version for one in services.installations()]
    assert sorted(version for part in Part for version in required_by(part)) == sorted(everything)
    assert list(required_by(None)) == everything
    assert all(required_by(part) for part in (Part.HOST, Part.TRIXIE))
    assert required_by(Part.REST) == ()


def test_a_host_without_ipv6_is_told_before_the_first_contract_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.rig.plugin.has_ipv6", lambda: False)
    config: Any = SimpleNamespace(option=SimpleNamespace(collectonly=False))
    plugin = ContractTests(config)
    contract: Any = SimpleNamespace(items=[SimpleNamespace(path=CONTRACT / "test_a.py")])
    others: Any = SimpleNamespace(
        items=[SimpleNamespace(path=CONTRACT.parent / "unit/test_a.py", user_properties=[])]
    )

    with pytest.raises(pytest.UsageError, match="this host has no IPv6"):
        plugin.pytest_collection_finish(contract)
    plugin.pytest_collection_finish(others)
