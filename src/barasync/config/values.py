"""What each setting may be, wherever it was given: file, environment or command line."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from barasync.config.bounds import (
    MOST_BYTES,
    BadValue,
    check_bytes,
    check_cpus,
    check_duration,
    check_image,
    check_memory,
    check_timeout,
    check_variables,
    check_words,
    refuse_nul,
)
from barasync.config.caches import Cache, parse_cache
from barasync.config.capabilities import parse_capability
from barasync.config.origin import Place
from barasync.config.schema import WORKSPACE, CellTable, RetryOn
from barasync.config.secrets import parse_secret
from barasync.config.services import parse_services
from barasync.config.volumes import Volume, parse_volume
from barasync.errors import ConfigError

SETTINGS: tuple[str, ...] = CellTable.__struct_fields__
"""The names of the settings, in the order in which they are shown."""

CELL_VARIABLES = (
    "BARASYNC_RUN",
    "BARASYNC_CELL",
    "BARASYNC_ARCH",
    "BARASYNC_CONFIG",
    "BARASYNC_REPEAT",
)
"""Environment variables that every cell gets from barasync; a file cannot set them."""

_LONGEST_GRACE = 3600.0
_MOST_RETRIES = 100
_MOST_FILES = 10_000_000
"""The manifest holds each; that many take some GiB of memory."""
_MOST_PIDS = 4_194_304
"""`PID_MAX_LIMIT` of a 64-bit Linux; its pids controller refuses more."""

_CONFIG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UPWARDS_BEHIND_WILDCARD = re.compile(r"[*?\[].*/\.\.(?:/|$)")
_OWN_IMAGES = frozenset({"idle", "kept", "list", "probe", "pulled", "step", "workspace"})
"""Repositories below `localhost/barasync`, where declared images get names as well."""
_IMAGE_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")


def parse_settings(table: CellTable, place: Place) -> dict[str, Any]:
    """Return the settings that `table` gives, in the types of `CellSettings`.

    A setting on which the table is silent is absent. `env` is a plain dict, sequences are tuples, a
    limit of 0 is `None`.

    Raises:
        ConfigError: a value is not allowed; `place` names where it was written.
    """
    parsed: dict[str, Any] = {}
    for name in SETTINGS:
        value = getattr(table, name)
        if value is UNSET:
            continue
        try:
            parsed[name] = _PARSERS[name](value)
        except BadValue as error:
            where = place(name, *error.keys)
            raise ConfigError(f"{where}: {error}", hint=error.hint) from None
    return parsed


def check_config_name(name: str, where: str) -> None:
    """Raise unless `name` can stand in a cell's id, which is a file name and a shell word."""
    if _CONFIG_NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{where}: {name!r} cannot name a configuration",
            hint="up to 100 letters, digits, '.', '_' and '-', the first a letter or a digit",
        )


def check_image_name(name: str, where: str) -> None:
    """Raise unless `name` can name an image that barasync makes.

    Source: the grammar of a path component in an image reference (OCI distribution specification).
    """
    if _IMAGE_NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{where}: {name!r} cannot name an image",
            hint="lower-case letters and digits, with single '.', '_' or '-' between them",
        )
    if name in _OWN_IMAGES:
        raise ConfigError(
            f"{where}: {name!r} is what barasync names images of its own",
            hint=f"names that are taken: {', '.join(sorted(_OWN_IMAGES))}",
        )


def _stop_grace(seconds: float) -> float:
    if not 0 <= seconds <= _LONGEST_GRACE:
        raise BadValue(
            f"{seconds:.12g} is not a number of seconds between 0 and {_LONGEST_GRACE:.0f}",
            hint="0 means SIGKILL at once",
        )
    return float(seconds)


def _pids(number: int) -> int | None:
    if not 0 <= number <= _MOST_PIDS:
        raise BadValue(
            f"{number} is not a number of processes between 1 and {_MOST_PIDS}",
            hint="0 means no limit",
        )
    return number or None


def _cap_add(names: list[str]) -> tuple[str, ...]:
    capabilities = []
    for index, name in enumerate(names):
        try:
            capabilities.append(parse_capability(name))
        except ValueError as error:
            hint = "capabilities(7) lists them; `CAP_` may be left out"
            raise BadValue(str(error), index, hint=hint) from None
    return tuple(dict.fromkeys(capabilities))


def _env(variables: Mapping[str, str]) -> dict[str, str]:
    checked = check_variables(variables)
    for name in checked:
        if name in CELL_VARIABLES:
            raise BadValue(f"{name} is set by barasync for every cell", name)
    return checked


def _secrets(texts: list[str]) -> tuple[str, ...]:
    names: dict[str, int] = {}
    for index, text in enumerate(texts):
        try:
            secret = parse_secret(text)
        except ValueError as error:
            raise BadValue(str(error), index) from None
        if names.setdefault(secret.name, index) != index:
            raise BadValue(f"there is a secret {secret.name} already", index)
        if secret.in_environment and secret.name in CELL_VARIABLES:
            raise BadValue(f"{secret.name} is set by barasync for every cell", index)
    return tuple(texts)


def _volumes(texts: list[str]) -> tuple[str, ...]:
    return _mounted(texts, parse_volume, "volume")


def _caches(texts: list[str]) -> tuple[str, ...]:
    names: dict[str, int] = {}
    for index, text in enumerate(_mounted(texts, parse_cache, "cache")):
        name = parse_cache(text).name
        if names.setdefault(name, index) != index:
            raise BadValue(f"the cache {name!r} is named twice", index)
    return tuple(texts)


def _mounted(
    texts: list[str], parse: Callable[[str], Volume | Cache], kind: str
) -> tuple[str, ...]:
    destinations: dict[str, int] = {}
    for index, text in enumerate(texts):
        try:
            destination = parse(text).destination
        except ValueError as error:
            raise BadValue(str(error), index) from None
        if destinations.setdefault(destination, index) != index:
            raise BadValue(f"{destination} has a {kind} already", index)
    return tuple(texts)


def _workdir(path: str) -> str:
    refuse_nul(path)
    if not path.startswith("/"):
        raise BadValue(
            f"{path!r} is not an absolute path in the container",
            hint=f"what lies in the workspace is below {WORKSPACE}",
        )
    try:
        path.encode()
    except UnicodeEncodeError:
        raise BadValue(f"{path!r} is not UTF-8, as podman takes it") from None
    return "/" + posixpath.normpath(path).lstrip("/")


def _artifacts(paths: list[str]) -> tuple[str, ...]:
    for index, path in enumerate(paths):
        if not path:
            raise BadValue("the path is empty", index)
        refuse_nul(path, index)
        if posixpath.normpath(path).split("/", 1)[0] == "..":
            raise BadValue(
                f"{path!r} leaves the workspace", index, hint="write the absolute path instead"
            )
        if _UPWARDS_BEHIND_WILDCARD.search(path):
            raise BadValue(f"{path!r} has a '..' behind a wildcard", index)
    return tuple(dict.fromkeys(paths))


def _artifacts_size(size: str | int) -> int:
    number = check_bytes(size)
    if not 0 < number <= MOST_BYTES:
        raise BadValue(
            f"{size!r} is not a size between 1 byte and 8 EiB",
            hint="`artifacts = []` collects nothing",
        )
    return number


def _artifacts_files(number: int) -> int:
    if not 0 < number <= _MOST_FILES:
        raise BadValue(f"{number} is not a number of files between 1 and {_MOST_FILES}")
    return number


def _retries(number: int) -> int:
    if not 0 <= number <= _MOST_RETRIES:
        raise BadValue(f"{number} is not a number of retries between 0 and {_MOST_RETRIES}")
    return number


def _retry_on(kinds: list[RetryOn]) -> tuple[RetryOn, ...]:
    if not kinds:
        raise BadValue("no kind of failure is named", hint="`retries = 0` turns retries off")
    return tuple(dict.fromkeys(kinds))


_PARSERS: Mapping[str, Callable[[Any], object]] = {
    "image": check_image,
    "command": check_words,
    "timeout": check_timeout,
    "stop_grace": _stop_grace,
    "memory": check_memory,
    "cpus": check_cpus,
    "pids": _pids,
    "network": lambda name: name,  # `networks` knows what is declared
    "cap_add": _cap_add,
    "env": _env,
    "secrets": _secrets,
    "volumes": _volumes,
    "caches": _caches,
    "workspace": lambda mode: mode,
    "workdir": _workdir,
    "artifacts": _artifacts,
    "artifacts_on": lambda when: when,
    "artifacts_size": _artifacts_size,
    "artifacts_files": _artifacts_files,
    "artifacts_timeout": check_duration,
    "retries": _retries,
    "retry_on": _retry_on,
    "services": parse_services,
}
assert tuple(_PARSERS) == SETTINGS, "every setting has a parser"
