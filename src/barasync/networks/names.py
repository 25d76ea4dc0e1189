"""What becomes of a question for a name under a policy, and which addresses its answer opens.

An entry of `allow` with a name is the user's word: whoever answers for that name may also send the
cell to private addresses, whatever the base says, because names of a company's own network are what
such entries are for. It is no word about what only a trick would answer (DNS rebinding): the
container itself, its link, multicast, metadata services, and whatever a site's own translator leads
to, stay as the base has them (`addresses.may_be_named`), and so does the host. What the policy's
`deny` has comes first anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from barasync.config.policies import Address, Policy, Preset, Range
from barasync.networks.addresses import only, with_embedded
from barasync.networks.groups import spelled
from barasync.networks.rules import feed

_SVCB, _HTTPS = 64, 65
_LATE_SECONDS = 5
_LONGEST_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a name has an address, in seconds from now."""

    address: Address
    seconds: int


class Treatment(Enum):
    """What becomes of a question that is about no cell."""

    UNKNOWN = auto()
    """Answered as a name that does not exist (NXDOMAIN), which ends the search at once everywhere.

    `REFUSED` says what is so, but to it and to any other failure musl answers nothing and waits for
    another server, 5 s in all, and glibc tells programs that they may try again (`EAI_AGAIN`). With
    no record of the zone (SOA) the answer is of this moment and nobody keeps it (RFC 2308, 5).

    Source: `__res_msend_rc` of musl, `send_dg` of glibc.
    """
    FORWARDED = auto()
    FED = auto()
    """Forwarded; the answer waits until the rules of the cell have its addresses."""
    EMPTY = auto()
    """Answered with no records."""


def treatment(policy: Policy, name: str, kind: int) -> Treatment:
    """Return what becomes of a question for a name and the number of a type.

    Records of the types HTTPS and SVCB have addresses of their own, and other names that are in no
    entry: for the names of entries there are none, and clients ask for addresses then (RFC 9460,
    section 3). Names of no entry are known where the base has a network to reach them in.
    """
    if spelled(name) in map(spelled, policy.names):
        return Treatment.EMPTY if kind in {_SVCB, _HTTPS} else Treatment.FED
    if policy.base in {Preset.PUBLIC, Preset.PRIVATE}:
        return Treatment.FORWARDED
    return Treatment.UNKNOWN


def feeding(
    policy: Policy, name: str, lifetimes: Iterable[Lifetime], host: Iterable[Address]
) -> str:
    """Return nft's text for what a name was answered with; empty where it changes nothing.

    An address is held 5 s longer than its record: that is the time from the answer to the
    connection. `host` are the host's own addresses, which no name opens.
    """
    shut = with_embedded(map(only, host))
    return "".join(
        feed(
            policy,
            name,
            lifetime.address,
            min(lifetime.seconds, _LONGEST_SECONDS) + _LATE_SECONDS,
        )
        for lifetime in lifetimes
        if not _within(lifetime.address, shut)
    )


def _within(address: Address, ranges: Iterable[Range]) -> bool:
    return any(only(address).network_address in one for one in ranges)
