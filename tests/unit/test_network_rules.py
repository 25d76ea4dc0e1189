"""The rules of policies, written out."""

from __future__ import annotations

import pytest

from barasync.networks import ruleset
from tests.network_policies import GOLDEN, POLICIES


@pytest.mark.parametrize("name", POLICIES)
def test_the_rules_of_a_policy_are_those_of_its_file(name: str) -> None:
    assert ruleset(*POLICIES[name]).text == (GOLDEN / f"{name}.nft").read_text()


def test_every_file_of_rules_has_its_policy() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == POLICIES.keys()
