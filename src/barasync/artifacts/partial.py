"""The name of what is being written, beside the place that it takes when it is whole."""

from __future__ import annotations

import re
import secrets

PARTIAL = re.compile(r"\.barasync-[0-9a-f]{16}\.partial")
"""What `partial_name` returns; nothing else is ever called so."""


def partial_name() -> str:
    """Return the name of a file or directory that nobody has yet."""
    return f".barasync-{secrets.token_hex(8)}.partial"
