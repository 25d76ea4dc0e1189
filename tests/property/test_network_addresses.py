"""Addresses within others: what is denied by ranges, and what is looked up by addresses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from barasync.config.policies import Address, Range
from barasync.networks.addresses import only, plain, reached, with_embedded
from tests.network_oracle import addresses as known
from tests.network_oracle import any_ranges

EMBEDDING = st.one_of(
    known,
    st.ip_addresses(),
    st.ip_addresses(network="64:ff9b::/96"),
    st.ip_addresses(network="2002::/16"),
    st.ip_addresses(network="::ffff:0:0/96"),
)


@given(EMBEDDING, st.lists(any_ranges, max_size=4))
def test_an_address_is_in_ranges_and_what_embeds_them_where_it_reaches_one(
    address: Address, ranges: list[Range]
) -> None:
    itself = only(address).network_address

    assert any(itself in each for each in with_embedded(ranges)) == any(
        one in plain(each) for one in reached(address) for each in ranges
    )
