"""Podman's system connections: engines that a person gave names to.

Podman 4 keeps them in `containers.conf`, podman 5 in `podman-connections.json`, and both versions
read both. The parsers are functions of the files' text; `read_connections` finds the files.
Source: podman-system-connection(1), containers.conf(5).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Connections:
    """Podman's system connections: their URLs by name, and the name of the default one."""

    urls: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None

    def overlaid(self, above: Connections) -> Connections:
        """Return these connections with those of a file that is read later on top."""
        return Connections({**self.urls, **above.urls}, above.default or self.default)


class _Destination(msgspec.Struct):
    uri: str


class _Engine(msgspec.Struct):
    active_service: str | None = None
    service_destinations: dict[str, _Destination] = msgspec.field(default_factory=dict)


class _ContainersConf(msgspec.Struct):
    engine: _Engine = msgspec.field(default_factory=_Engine)


class _Connection(msgspec.Struct):
    uri: str = msgspec.field(name="URI")


class _ConnectionTable(msgspec.Struct):
    default: str | None = msgspec.field(name="Default", default=None)
    connections: dict[str, _Connection] | None = msgspec.field(name="Connections", default=None)


class _ConnectionsFile(msgspec.Struct):
    connection: _ConnectionTable = msgspec.field(
        name="Connection", default_factory=_ConnectionTable
    )


def parse_containers_conf(text: str) -> Connections:
    """Read the connections in a `containers.conf`, where podman 4 keeps them.

    Raises:
        ValueError: it is not TOML, or the keys concerned have the wrong type.
    """
    tables: dict[str, Any] = tomllib.loads(text)
    engine = msgspec.convert(tables, _ContainersConf).engine
    urls = {name: entry.uri for name, entry in engine.service_destinations.items()}
    return Connections(urls, engine.active_service or None)


def parse_podman_connections(text: str) -> Connections:
    """Read a `podman-connections.json`, where podman 5 keeps them.

    Raises:
        ValueError: it is not JSON, or the keys concerned have the wrong type.
    """
    table = msgspec.json.decode(text, type=_ConnectionsFile).connection
    urls = {name: entry.uri for name, entry in (table.connections or {}).items()}
    return Connections(urls, table.default or None)


def read_connections(environ: Mapping[str, str]) -> Connections:
    """Read podman's system connections from the files that podman itself would read.

    Raises:
        ValueError: a file cannot be understood; the sentence names it.
    """
    found = Connections()
    for path in containers_conf_paths(environ):
        found = found.overlaid(_read(path, parse_containers_conf))
    return found.overlaid(_read(_connections_path(environ), parse_podman_connections))


def containers_conf_paths(environ: Mapping[str, str]) -> Iterable[Path]:
    """Yield the files podman reads, the later ones overriding the earlier ones."""
    if only := environ.get("CONTAINERS_CONF"):
        yield Path(only)
    else:
        yield Path("/usr/share/containers/containers.conf")
        for folder in (Path("/etc/containers"), _configuration(environ)):
            yield folder / "containers.conf"
            yield from sorted(folder.glob("containers.conf.d/*.conf"))
    if override := environ.get("CONTAINERS_CONF_OVERRIDE"):
        yield Path(override)


def _connections_path(environ: Mapping[str, str]) -> Path:
    if path := environ.get("PODMAN_CONNECTIONS_CONF"):
        return Path(path)
    return _configuration(environ) / "podman-connections.json"


def _configuration(environ: Mapping[str, str]) -> Path:
    home = environ.get("XDG_CONFIG_HOME") or f"{environ.get('HOME', '')}/.config"
    return Path(home) / "containers"


def _read(path: Path, parse: Callable[[str], Connections]) -> Connections:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return Connections()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
