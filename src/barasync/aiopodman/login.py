"""What a registry is told of who asks, as podman takes it with a request."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLogin:
    """A user's name and password for `registry`, its host with the port.

    An `identity_token` takes the place of the password where the registry gave one.
    """

    registry: str
    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)


def login_headers(login: RegistryLogin | None) -> Mapping[str, str]:
    """Return the headers that make podman log in; without a login its own auth file counts.

    A password goes to its registry alone: podman is given it in an auth file's form. It keeps no
    identity token in that form, which therefore goes to every registry that the request leads to.

    Source: podman `pkg/auth/auth.go`, header `X-Registry-Auth`; measured on 4.3.1 and 5.4.2.
    """
    if login is None:
        return _NO_HEADERS
    entry = {"username": login.username, "password": login.password}
    document: object = {login.registry: entry}
    if login.identity_token:
        document = {"username": login.username, "identitytoken": login.identity_token}
    encoded = base64.urlsafe_b64encode(msgspec.json.encode(document))
    return {"X-Registry-Auth": encoded.decode()}
