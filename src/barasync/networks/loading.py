"""Rules put in force in a container's network namespace, and read back.

What nft accepted is not yet what the kernel has.
"""

from __future__ import annotations

from barasync.networks.namespace import Entered, NamespaceError
from barasync.networks.rules import Ruleset, missing


async def enforce(namespace: Entered, rules: Ruleset, *, anew: bool) -> None:
    """Load the rules of a policy and see that they are in force; with `anew` where some may be.

    Takes up to 20 s, nft's two runs. When cancelled, nobody knows what is in force.

    Raises:
        NamespaceError: they are not in force, or nobody knows.
    """
    await namespace.load(rules.replacement if anew else rules.text)
    await verify(namespace, rules)


async def verify(namespace: Entered, rules: Ruleset) -> None:
    """See that the rules of a policy are in force; takes up to 10 s.

    Raises:
        NamespaceError: they are not, or nobody knows.
    """
    lacking = missing(rules, await namespace.listing())
    if lacking is not None:
        raise NamespaceError(
            f"the rules are not as they were loaded: {lacking}",
            hint="`nft --version` and `uname --kernel-release` belong into a report of this",
        )
