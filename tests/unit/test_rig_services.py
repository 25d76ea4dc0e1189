"""What keeps sessions of tests on one host apart."""

from __future__ import annotations

from tests.rig.networks import claim_place


def test_two_sessions_have_networks_of_different_numbers() -> None:
    place, claim = claim_place(1023)
    with claim:
        other, claim = claim_place(place.number)
        claim.close()

    assert other != place
