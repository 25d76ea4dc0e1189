"""Commands that end with somebody else's command, whose options are not ours."""

from __future__ import annotations

from typer.core import TyperCommand


class OptionsFirst(TyperCommand):
    """A command whose own options stand before its first argument, as those of `podman exec`."""

    allow_interspersed_args = False
