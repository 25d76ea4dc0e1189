"""A program that rules take is looked for once, before anything is made for cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from barasync.cli.enforcement import require_programs
from barasync.config.policies import PRESETS, Policy
from barasync.matrix.plan import Plan
from barasync.networks.namespace import NamespaceError
from tests.unit.world import cell

pytestmark = pytest.mark.anyio


def plan(*policies: Policy | None) -> Plan:
    cells = tuple(
        replace(cell(f"c{number}"), policy=policy) for number, policy in enumerate(policies)
    )
    return Plan(rule="tests", args=(), cells=cells)


@pytest.fixture(autouse=True)
def without_nft(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nsenter").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("barasync.networks.namespace._SBIN", str(tmp_path))


async def test_a_cell_with_a_policy_takes_them_all() -> None:
    with pytest.raises(NamespaceError, match=r"^nft is not installed") as raised:
        await require_programs(plan(None, PRESETS["local"], PRESETS["public"]))

    assert raised.value.hint is not None
    assert "install the package nftables" in raised.value.hint
    assert raised.value.hint.endswith('`network = "none"` does without')


async def test_cells_without_one_take_none() -> None:
    await require_programs(plan(None, None))
