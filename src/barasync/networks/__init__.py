"""What a policy means for packets: nftables rules for a container, and what they refused."""

from barasync.networks.refused import Refusal, refusals
from barasync.networks.rules import Ruleset, Surroundings, feed, missing, ruleset

__all__ = ["Refusal", "Ruleset", "Surroundings", "feed", "missing", "refusals", "ruleset"]
