"""What an auth file of podman or docker says about a registry; pure.

Source: containers-auth.json(5) of containers/image, and docker's `config.json`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import field

from barasync.aiopodman import Reference, RegistryLogin

DOCKER_HUB = "docker.io"
_DOCKER_HUB_URL = "https://index.docker.io/v1/"
_DOCKER_HUB_HOSTS = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})


class AuthEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of one registry or repository; `auth` is base64 of `user:password`."""

    auth: str = ""
    identity_token: str = field(default="", name="identitytoken")


class AuthFile(msgspec.Struct, frozen=True, kw_only=True):
    """An auth file; helpers are programs `docker-credential-NAME`, one for each registry or all."""

    auths: dict[str, AuthEntry] = {}
    helpers: dict[str, str] = field(default_factory=dict, name="credHelpers")
    helper: str = field(default="", name="credsStore")


class _HelpersAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    username: str
    secret: str


@dataclass(frozen=True, slots=True)
class Helper:
    """A program that knows a login, and the name that it knows the registry by.

    One that is `optional` was not named for this registry: it need not be installed.
    """

    program: str
    server: str
    optional: bool = False


class Malformed(ValueError):
    """An auth file, or what a helper answers, cannot be read; nothing secret is in the message."""


def auth_files(environ: Mapping[str, str], uid: int) -> tuple[Path, ...]:
    """Return the files in which podman looks for a login, in its order; they need not exist."""
    if named := environ.get("REGISTRY_AUTH_FILE"):
        return (Path(named),)
    runtime = environ.get("XDG_RUNTIME_DIR")
    places = [Path(runtime) / "containers" if runtime else Path(f"/run/containers/{uid}")]
    home = environ.get("HOME", "")
    config = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    if config:
        places.append(Path(config) / "containers")
    docker = environ.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else "")
    return (
        *(place / "auth.json" for place in places),
        *((Path(docker) / "config.json",) if docker else ()),
    )


def parse_auth_file(text: bytes) -> AuthFile:
    """Read an auth file.

    Raises:
        Malformed: it is not JSON, or not of that form.
    """
    try:
        return msgspec.json.decode(text, type=AuthFile) if text.strip() else AuthFile()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from error


def find(file: AuthFile, reference: Reference) -> RegistryLogin | Helper | None:
    """Return what a file has for the registry of a reference, the most specific entry.

    A short name is looked for at Docker's registry. A helper of the registry counts more than an
    entry, and an entry more than the helper of all.

    Raises:
        Malformed: the entry is not base64 of `user:password`.
    """
    registry = registry_of(reference)
    if program := file.helpers.get(registry):
        return Helper(program, registry)
    entries = {_key(name): (name, entry) for name, entry in reversed(file.auths.items())}
    for key in _keys(registry, reference):
        name, entry = entries.get(key, ("", AuthEntry()))
        if entry.auth or entry.identity_token:
            return _login(registry, name, entry)
    if file.helper:
        server = _DOCKER_HUB_URL if registry == DOCKER_HUB else registry
        return Helper(file.helper, server, optional=True)
    return None


def parse_helper_answer(registry: str, answer: bytes) -> RegistryLogin:
    """Read what a helper says of a registry.

    Raises:
        Malformed: it is not JSON of a user and a secret.

    Source: docker-credential-helpers, `get`; the user `<token>` says that it is a token.
    """
    try:
        found = msgspec.json.decode(answer, type=_HelpersAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("its answer is not JSON with Username and Secret") from error
    if found.username == "<token>":
        return RegistryLogin(
            registry=registry, username="<token>", password="", identity_token=found.secret
        )
    return RegistryLogin(registry=registry, username=found.username, password=found.secret)


def registry_of(reference: Reference) -> str:
    """Return the registry whose login is wanted for a reference."""
    return _key(reference.registry) if reference.registry else DOCKER_HUB


def _keys(registry: str, reference: Reference) -> Iterator[str]:
    """Yield the keys that fit a reference, the most specific one first."""
    repository = reference.repository
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    parts = [registry, *repository.split("/")]
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length])


def _key(name: str) -> str:
    """Return a key of an auth file in its plain form; docker writes URLs, of which the host counts.

    Source: `normalizeAuthFileKey` in containers/image.
    """
    bare = name.removeprefix("http://").removeprefix("https://")
    host, slash, path = bare.partition("/")
    if bare != name:
        slash = path = ""
    return (DOCKER_HUB if host in _DOCKER_HUB_HOSTS else host) + slash + path


def _login(registry: str, name: str, entry: AuthEntry) -> RegistryLogin:
    username, colon, password = "", "", ""
    if entry.auth:
        try:
            pair = base64.b64decode(entry.auth, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            pair = ""
        username, colon, password = pair.partition(":")
    if not colon and not entry.identity_token:
        raise Malformed(f"the entry of {name} is not base64 of user:password")
    return RegistryLogin(
        registry=registry,
        username=username,
        password=password.rstrip("\0"),
        identity_token=entry.identity_token,
    )
