"""The endpoints of images."""

from __future__ import annotations

import json

from tests.fake.images import unpack
from tests.fake.state import State
from tests.fake.wire import Answer, Refusal, Request


async def inspect(state: State, name: str, _request: Request) -> Answer:
    return Answer.of(state.images.find(name).inspect())


async def listed(state: State, request: Request) -> Answer:
    return Answer.of([image.summary() for image in state.images.listed(request.filters())])


async def import_(state: State, request: Request) -> Answer:
    image = state.images.make(
        request.first("reference"), architecture=request.first("Architecture")
    )
    image.change(request.query.get("changes", ()))
    unpack(request.body, image.root)
    return Answer.of({"Id": f"sha256:{image.id}"})


async def pull(_state: State, request: Request) -> Answer:
    """There is no registry; podman says so after 200."""
    reason = f"initializing source docker://{request.first('reference')}: no route to host"
    return Answer(body=json.dumps({"error": reason}).encode() + b"\n")


async def tag(state: State, name: str, request: Request) -> Answer:
    state.images.name(state.images.find_any(name), _reference(request))
    return Answer(status=201)


async def untag(state: State, name: str, request: Request) -> Answer:
    state.images.unname(state.images.find(name), _reference(request))
    return Answer(status=201)


async def delete(state: State, name: str, request: Request) -> Answer:
    image = state.images.find(name)
    users = [container for container in state.containers.values() if container.image is image]
    if users and not request.flag("force"):
        cause = "image is in use by a container"
        raise Refusal(409, cause, f"image used by {users[0].id}: {cause}")
    state.images.remove(name, image)
    return Answer.of({"Untagged": [name], "Deleted": [], "Errors": [], "ExitCode": 0})


def _reference(request: Request) -> str:
    return f"{request.first('repo')}:{request.first('tag', 'latest')}"
