"""How many files this process may have open: sockets, outputs, and archives that are extracted."""

from __future__ import annotations

import resource

# Children inherit it, and some programs close every descriptor up to it one by one.
_ENOUGH = 65536


def allow_many() -> None:
    """Raise the soft limit as far as the hard one allows, up to 65,536; 1024 are usual."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
