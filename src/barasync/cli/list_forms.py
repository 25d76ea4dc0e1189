"""The forms that lists have besides a table."""

from __future__ import annotations

from typing import Annotated

import typer

from barasync.errors import ConfigError

Names = Annotated[bool, typer.Option("--names", help="Only their names, a line for each.")]


def require_one_form(*, as_json: bool, names: bool) -> None:
    """Refuse what cannot be both.

    Raises:
        ConfigError: both are asked for.
    """
    if as_json and names:
        raise ConfigError("--json and --names are two forms of one list; choose one")
