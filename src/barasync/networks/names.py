"""What becomes of a question for a name under a policy, and which addresses its answer opens.

An entry of `allow` with a name is the user's word: whoever answers for that name may also send the
cell to private addresses, whatever the base says, because names of a company's own network are what
such entries are for. It is no word about what only a trick would answer (DNS rebinding): the
container itself, its link, multicast, metadata services, and whatever a site's own translator leads
to, stay as the base has them (`addresses.may_be_named`), and so does the host. What the policy's
`deny` has comes first anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from barasync.config.policies import Address, Policy, Preset
from barasync.networks.addresses import may_be_named, reached
from barasync.networks.groups import Group, groups, spelled
from barasync.networks.nftables import header_of
from barasync.networks.rules import TABLE

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


class Names:
    """The host names of a policy's entries, gathered once for all that is asked about them."""

    def __init__(self, policy: Policy) -> None:
        self._known = policy.base in {Preset.PUBLIC, Preset.PRIVATE}
        self._sets: defaultdict[str, list[Group]] = defaultdict(list)
        for group in groups("allow", policy.allow):
            for name in group.names:
                self._sets[name].append(group)

    def treatment(self, name: str, kind: int) -> Treatment:
        """Return what becomes of a question for a name and the number of a type.

        Records of the types HTTPS and SVCB have addresses of their own, and other names that are in
        no entry: for the names of entries there are none, and clients ask for addresses then (RFC
        9460, section 3). Names of no entry are known where the base has a network to reach them in.
        """
        if spelled(name) in self._sets:
            return Treatment.EMPTY if kind in {_SVCB, _HTTPS} else Treatment.FED
        return Treatment.FORWARDED if self._known else Treatment.UNKNOWN

    def feeding(self, name: str, lifetimes: Iterable[Lifetime], host: Iterable[Address]) -> str:
        """Return nft's text for what a name was answered with; empty where it changes nothing.

        An address is held 5 s longer than its record: that is the time from the answer to the
        connection. `host` are the host's own addresses, which no name opens.
        """
        own = {reached(address)[0] for address in host}
        return "".join(
            self.feed(
                name,
                lifetime.address,
                min(lifetime.seconds, _LONGEST_SECONDS) + _LATE_SECONDS,
            )
            for lifetime in lifetimes
            if own.isdisjoint(reached(lifetime.address))
        )

    def feed(self, name: str, address: Address, seconds: int) -> str:
        """Return nft's text that adds `address` to the sets of the entries for the host `name`.

        It stays for so many `seconds`, counted from now where it is there already. The text is
        empty where no entry has that name, and where its address is of loopback, multicast or
        link-local, or a cloud's metadata: whoever owns a name must not open those by it; an entry
        for the address does.
        """
        found = self._sets.get(spelled(name), ())
        if not found or not may_be_named(address):
            return ""
        one = reached(address)[0]
        return "".join(_refreshed(group.fed(header_of(one)), one, seconds) for group in found)


def _refreshed(name: str, address: Address, seconds: int) -> str:
    # Adding what is there does not begin its time anew before Linux 6.13, and deleting what is not
    # there fails.
    element = f"element inet {TABLE} {name}"
    there = f"{element} {{ {address} }}\n"
    return f"add {there}delete {there}add {element} {{ {address} timeout {seconds}s }}\n"
