"""What is raised where an attempt came to nothing before its command ran: another may do better."""

from __future__ import annotations


class NotBegun(Exception):
    """Podman failed before the command began, nothing is left, and the cause may have passed."""


class ImageGone(NotBegun):
    """Podman has no image any more of an ID that it had when it was prepared."""


class ResolverLate(NotBegun):
    """Podman's resolver could not listen yet at an address of the network's bridge, just made."""


class NetworkGone(NotBegun):
    """Podman has no network any more of a name that it had when it was prepared."""
