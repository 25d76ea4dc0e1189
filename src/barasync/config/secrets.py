"""Secrets as people write them: `NAME=PATH` for a file, `NAME=env:VARIABLE` for a variable.

Only where a value is to be found, never the value: that is read by the command line, when the
cells are about to run.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import PurePath

_ENV = "env:"
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
# Source: POSIX.1-2017, "Name"; others cannot be used in a shell.
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of a cell: in the file `/run/secrets/NAME`, or in the variable NAME.

    `source` is as it is written: a path, or `env:` and a variable of whoever runs barasync.
    """

    name: str
    source: str

    @property
    def variable(self) -> str | None:
        """The variable that holds the value, `None` where a file does."""
        return self.source.removeprefix(_ENV) if self.in_environment else None

    @property
    def in_environment(self) -> bool:
        """Whether the cell gets it as a variable."""
        return self.source.startswith(_ENV)


def parse_secret(text: str) -> Secret:
    """Return the parts of `NAME=PATH` or `NAME=env:VARIABLE`.

    Raises:
        ValueError: the text is not that. The message does not quote what follows the name: it may
            be a value that was written there by mistake.
    """
    name, equals, source = text.partition("=")
    if not equals:
        raise ValueError("this is not a secret; write 'NAME=PATH' or 'NAME=env:VARIABLE'")
    secret = Secret(name, source)
    if secret.in_environment and _VARIABLE_NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} cannot name a secret in the environment; letters, digits and '_' can, up to "
            "100, the first not a digit"
        )
    if _FILE_NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} cannot name a secret; letters, digits, '.', '_' and '-' can, up to 100, "
            "the first not '.' or '-'"
        )
    if "\0" in source or source in {"", _ENV} or "=" in (secret.variable or ""):
        raise ValueError(f"secret {name}: what follows '=' is neither a path nor 'env:VARIABLE'")
    return secret


def anchor_secret(text: str, directory: PurePath | None) -> str:
    """Return a secret with a relative path made absolute: it starts at `directory`.

    Raises:
        ValueError: the text is not a secret, or its path cannot be made absolute.
    """
    secret = parse_secret(text)
    if secret.in_environment or secret.source.startswith("/"):
        return text
    if directory is None:
        raise ValueError(f"secret {secret.name}: a relative path has no folder to start at here")
    return f"{secret.name}={posixpath.normpath(directory / secret.source)}"
