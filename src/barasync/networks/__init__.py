"""What a policy means for packets: nftables rules for a container, and what they refused."""

from barasync.networks.refused import Refusal, refusals, refused_packets
from barasync.networks.rules import Ruleset, Surroundings, feed, missing, ruleset

__all__ = [
    "Refusal",
    "Ruleset",
    "Surroundings",
    "feed",
    "missing",
    "refusals",
    "refused_packets",
    "ruleset",
]
