"""The endpoints of manifest lists."""

from __future__ import annotations

import json

from tests.fake.state import State
from tests.fake.wire import Answer, Refusal, Request

_STORAGE = "containers-storage:"


async def exists(state: State, name: str, _request: Request) -> Answer:
    state.images.find_list(name)
    return Answer(status=204)


async def inspect(state: State, name: str, _request: Request) -> Answer:
    return Answer.of({"schemaVersion": 2, "manifests": state.images.find_list(name).members})


async def create(state: State, name: str, _request: Request) -> Answer:
    if any(name in image.names for image in state.images.listed({})):
        cause = "that name is already in use"
        raise Refusal(500, cause, f"image name {name}: {cause}")
    made = state.images.make(name, architecture="")
    made.members = []
    return Answer.of({"Id": made.id}, 201)


async def add(state: State, name: str, request: Request) -> Answer:
    found = state.images.find_list(name)
    body = request.document()
    for wanted in body["images"]:
        try:
            image = state.images.find(wanted.removeprefix(_STORAGE))
        except Refusal as refusal:
            return Answer.of({"Id": found.id, "errors": [refusal.message]}, 400)
        platform = {"architecture": body.get("arch") or image.architecture, "os": "linux"}
        if body.get("variant"):
            platform["variant"] = body["variant"]
        found.add_member(image, platform)
    return Answer.of({"Id": found.id, "images": body["images"]})


async def push(state: State, name: str, request: Request) -> Answer:
    """There is no registry; podman says so after 200, where it has told its progress before."""
    state.images.find_list(name)
    destination = request.path.rpartition("/registry/")[2]
    reason = f"pinging container registry {destination}: no route to host"
    return Answer(body=json.dumps({"Id": "", "error": reason}).encode() + b"\n")


async def delete(state: State, name: str, _request: Request) -> Answer:
    state.images.remove(name, state.images.find_list(name))
    return Answer.of({"Untagged": [name], "Deleted": [], "Errors": [], "ExitCode": 0})
