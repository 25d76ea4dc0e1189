"""Services beside a cell: containers that it shares its network namespace with.

A service is started before the cell, which begins once it is ready, and is gone after it. Its name
leads to the loopback interface, in the cell and in the other services.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from barasync.config.bounds import (
    BadValue,
    check_cpus,
    check_duration,
    check_image,
    check_memory,
    check_variables,
    check_words,
    refuse_nul,
)
from barasync.config.destinations import port_number
from barasync.config.policies import Protocol

NATIVE = "native"
"""Stands for the architecture of the host, whatever the cell's is."""

# A label of a host name (RFC 1123, section 2.1), in lower case: it names a file and a container.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# A command of that name would be odd.
_PORT = re.compile(r"([0-9]+)(?:/([A-Za-z]+))?")
_TCP = Protocol.TCP.value
_HEALTHY = "healthy"
_TAKEN = "localhost"
_MOST = 32


class ServiceTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An entry of `services`: what runs beside a cell, and how one can tell that it is ready.

    `arch` is `native` where it is not to be that of the cell. `ready` is a command in it, a line
    for its `sh -c`, a port such as `5432/tcp`, or `healthy`; `ready_timeout` is in seconds.
    """

    image: str
    name: str
    arch: str | UnsetType = UNSET
    ready: str | list[str] | UnsetType = UNSET
    ready_timeout: float | UnsetType = UNSET
    command: list[str] | UnsetType = UNSET
    env: dict[str, str] | UnsetType = UNSET
    user: str | UnsetType = UNSET
    memory: str | int | UnsetType = UNSET
    cpus: float | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class ListensAt:
    """A service is ready once something listens at this TCP port, in the network of the cell."""

    port: int

    def __str__(self) -> str:
        return f"{self.port}/tcp"


@dataclass(frozen=True, slots=True)
class Healthy:
    """A service is ready once the health check of its image passes."""

    def __str__(self) -> str:
        return _HEALTHY


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of a cell.

    `image` is the name of a declared image or a reference, for the architecture of the host where
    it is `native`, else for that of the cell. `ready` is the command that ends with 0 in it once it
    can be used, or the port at which it listens then, or says that its image can tell; without any
    it can as soon as it runs. It has `ready_timeout` seconds for that. Without a `command` and a
    `user` they are the image's.
    `memory` is in bytes, `cpus` in cores, `None` for no limit.
    """

    image: str
    name: str
    native: bool = False
    ready: tuple[str, ...] | ListensAt | Healthy = ()
    ready_timeout: float = 60.0
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    user: str = ""
    memory: int | None = None
    cpus: float | None = None

    def as_data(self) -> dict[str, Any]:
        """Return it as dicts, lists, strings, numbers and `None`."""
        return {
            "image": self.image,
            "name": self.name,
            "arch": NATIVE if self.native else None,
            "ready": list(self.ready) if isinstance(self.ready, tuple) else str(self.ready),
            "ready_timeout": self.ready_timeout,
            "command": list(self.command),
            "env": dict(self.env),
            "user": self.user,
            "memory": self.memory,
            "cpus": self.cpus,
        }


def parse_services(tables: Sequence[ServiceTable]) -> tuple[Service, ...]:
    """Return the services that `tables` describe.

    Raises:
        BadValue: a value cannot be meant, or a name is there twice.
    """
    if len(tables) > _MOST:
        raise BadValue(f"there are more than {_MOST} services")
    services: list[Service] = []
    for index, table in enumerate(tables):
        service = _service(table, index)
        names = [other.name for other in services]
        if service.name in names:
            raise BadValue(
                f"{service.name!r} is the name of service [{names.index(service.name)}] already",
                index,
                "name",
                hint="the cell knows each by its name: give it another one",
            )
        services.append(service)
    return tuple(services)


def _service(table: ServiceTable, index: int) -> Service:
    values: dict[str, Any] = {}
    for key, parse in _PARSERS.items():
        value = getattr(table, key)
        if value is UNSET:
            continue
        try:
            values[_FIELDS.get(key, key)] = parse(value)
        except BadValue as error:
            raise BadValue(str(error), index, key, *error.keys, hint=error.hint) from None
    return Service(**values)


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise BadValue(
            f"{text!r} cannot name a service",
            hint="up to 63 lower-case letters, digits and '-' between them: it is a host name",
        )
    if text == _TAKEN:
        raise BadValue(f"{text!r} is the name of the cell itself")
    return text


def _arch(text: str) -> bool:
    if text != NATIVE:
        raise BadValue(
            f"{text!r} is not {NATIVE!r}",
            hint=f"{NATIVE!r} is the architecture of the host; without `arch` it is the cell's",
        )
    return True


def _ready(command: str | list[str]) -> tuple[str, ...] | ListensAt | Healthy:
    hint = "leave `ready` out for a service that can be used as soon as it runs"
    if isinstance(command, str):
        if not command.strip():
            raise BadValue("the command is empty", hint=hint)
        if command == _HEALTHY:
            return Healthy()
        if (port := _PORT.fullmatch(command)) is not None:
            return _listens_at(command, port[1], port[2])
        refuse_nul(command)
        return ("sh", "-c", command)
    if not command:
        raise BadValue("the command is empty", hint=hint)
    return check_words(command)


def _listens_at(text: str, number: str, protocol: str | None) -> ListensAt:
    if protocol is None or protocol.lower() == _TCP != protocol:
        raise BadValue(f"{text!r} is no command", hint=f"a port is written '{number}/{_TCP}'")
    if protocol != _TCP:
        raise BadValue(
            f"{text!r}: that a service can be used is not seen by a port of {protocol}",
            hint="write a command that asks it, or leave `ready` out",
        )
    return ListensAt(port_number(number))


def _user(text: str) -> str:
    if not text or any(c.isspace() or not c.isprintable() for c in text):
        raise BadValue(
            f"{text!r} is no user", hint="write a name or a number, with ':GROUP' behind it or not"
        )
    return text


_PARSERS: Mapping[str, Callable[[Any], object]] = {
    "image": check_image,
    "name": _name,
    "arch": _arch,
    "ready": _ready,
    "ready_timeout": check_duration,
    "command": check_words,
    "env": lambda variables: MappingProxyType(check_variables(variables)),
    "user": _user,
    "memory": check_memory,
    "cpus": check_cpus,
}
_FIELDS = {"arch": "native"}
assert tuple(_PARSERS) == ServiceTable.__struct_fields__, "every key of a service has a parser"
