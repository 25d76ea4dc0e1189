"""What keeps sessions of tests on one host apart."""

from __future__ import annotations

from contextlib import closing

from tests.rig.services import claim_number


def test_two_sessions_have_networks_of_different_numbers() -> None:
    number, claim = claim_number(1023)
    with closing(claim):
        other, claim = claim_number(number)
        claim.close()

    assert other != number
