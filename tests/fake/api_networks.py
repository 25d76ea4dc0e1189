"""The endpoints of networks."""

from __future__ import annotations

from tests.fake.images import carries
from tests.fake.state import State
from tests.fake.wire import Answer, Request


async def create(state: State, request: Request) -> Answer:
    return Answer.of(state.networks.create(request.document()))


async def listed(state: State, request: Request) -> Answer:
    wanted = request.filters().get("label", [])
    return Answer.of(
        [
            document
            for document in state.networks.documents.values()
            if carries(document["labels"] or {}, wanted)
        ]
    )


async def inspect(state: State, name: str, _request: Request) -> Answer:
    return Answer.of(state.networks.find(name))


async def exists(state: State, name: str, _request: Request) -> Answer:
    state.networks.find(name)
    return Answer(status=204)


async def delete(state: State, name: str, _request: Request) -> Answer:
    users = [container.body for container in state.containers.values()]
    removed = state.networks.remove(name, users=users)
    return Answer.of([{"Name": removed["name"], "Err": None}])
