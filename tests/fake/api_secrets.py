"""The endpoints of secrets, and what a container gets of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from barasync.aiopodman import quirks
from tests.fake.state import Secret, State
from tests.fake.wire import Answer, Refusal, Request

_MOST_BYTES = 512_000
_OLD_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}")
_NAME = re.compile(r"[^,/=\0]{1,253}")


async def create(state: State, request: Request) -> Answer:
    name, data = request.first("name"), request.body
    pattern = _OLD_NAME if state.has(quirks.SECRET_NAMES_ARE_SHORT) else _NAME
    if pattern.fullmatch(name) is None:
        raise Refusal(500, "invalid secret name")
    if not 0 < len(data) < _MOST_BYTES:
        raise Refusal(500, f"secret data must be larger than 0 and less than {_MOST_BYTES} bytes")
    if name in state.secrets:
        raise Refusal(500, "secret name in use", f"{name}: secret name in use")
    identity = hashlib.sha256(f"{state.directory} {name}".encode()).hexdigest()[:25]
    labels = json.loads(request.first("labels", "{}"))
    state.secrets[name] = Secret(identity, name, data, labels)
    return Answer.of({"ID": identity})


async def listed(state: State, _request: Request) -> Answer:
    labelled = not state.has(quirks.SECRET_LABELS_UNLISTED)
    return Answer.of([_shown(secret, labelled=labelled) for secret in state.secrets.values()])


async def inspect(state: State, name: str, _request: Request) -> Answer:
    return Answer.of(_shown(state.secret(name), labelled=True))


async def delete(state: State, name: str, _request: Request) -> Answer:
    del state.secrets[state.secret(name).name]
    return Answer(status=204)


def environment(state: State, body: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that a container gets of secrets.

    Podman reads them when it starts the container, this when it creates it.

    Raises:
        Refusal: there is no such secret, or it is to be a file: the fake mounts nothing.
    """
    if body.get("secrets"):
        raise Refusal(500, "the fake gives a container no files of secrets")
    try:
        return {
            name: state.secret(secret).data.decode()
            for name, secret in body.get("secret_env", {}).items()
        }
    except Refusal as refusal:
        raise Refusal(500, refusal.cause, refusal.message) from refusal


def _shown(secret: Secret, *, labelled: bool) -> dict[str, Any]:
    spec = {"Name": secret.name, "Labels": secret.labels if labelled else None}
    return {"ID": secret.id, "Spec": spec}
