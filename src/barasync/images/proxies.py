"""The proxies of whoever builds or runs something, for what is executed in containers.

Podman's own command passes the same variables to what it runs and builds, by default.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

# Source: containers/common `config.ProxyEnv`.
_NAMES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
_VARIABLES = (*_NAMES, *(name.upper() for name in _NAMES))
_SHELL = "/bin/sh"


def proxies_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name proxies, less those that are empty or cannot be meant."""
    given = {name: environ.get(name, "") for name in _VARIABLES}
    return {name: value for name, value in given.items() if value and value.isprintable()}


def foreign_proxies(env: Sequence[str], base: Sequence[str]) -> tuple[str, ...]:
    """Return the variables of a container that name proxies which its image does not; sorted.

    `env` and `base` hold `NAME=value`, of the container and of its image.
    """
    named = (each.partition("=") for each in set(env) - set(base))
    return tuple(sorted(name for name, _, value in named if name in _VARIABLES and value))


def with_proxies(script: str, proxies: Mapping[str, str]) -> tuple[str, ...]:
    """Return the arguments by which `/bin/sh` executes a script that sees `proxies`.

    They are no part of the container's environment, which a commit would put into the image.
    """
    if not proxies:
        return "-c", script
    exports = "".join(
        f"export {name}={shlex.quote(value)}; " for name, value in sorted(proxies.items())
    )
    return "-c", f'{exports}exec {_SHELL} -c "$0"', script
