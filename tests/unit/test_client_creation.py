"""A container whose creation was answered to nobody: it is found, and no other is taken for it."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from barasync.aiopodman import Conflict, ContainerSpec, Podman, TransportError
from tests.unit.recorded import ENDPOINT

pytestmark = pytest.mark.anyio

LABELS = {"run": "1"}
OTHERS = "0" * 64
NAMED = ContainerSpec(image="1f3a", name="x")
LABELLED = ContainerSpec(image="1f3a", name="x", labels=LABELS)
NAMELESS = ContainerSpec(image="1f3a", labels=LABELS)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Service:
    """Makes containers; breaks off the first answer, and `makes` that container, or not.

    `late` has it made only after it was looked for once. `others` is a container with the name and
    the labels that are asked for, made by somebody else before.
    """

    def __init__(self, *, makes: bool, late: bool = False, others: bool = False) -> None:
        self.containers: dict[str, dict[str, Any]] = {}
        self.removed: list[str] = []
        self.creations = 0
        self._makes = makes
        self._late = late
        self._unmade: dict[str, Any] | None = None
        if others:
            self.containers[OTHERS] = {"name": "x", "labels": LABELS, "annotations": {"a": "b"}}

    def client(self) -> Podman:
        transport = httpx2.MockTransport(self.handle)
        return Podman(ENDPOINT, timeout=5, outage=20, transport=transport)

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "5.4.2"})
        if request.method == "POST":
            return self._create(json.loads(request.content))
        _, _, found = path.partition("/containers/")
        if found == "json":
            return self._listed(json.loads(request.url.params["filters"])["label"])
        return self._inspected(found.removesuffix("/json"))

    def _create(self, body: dict[str, Any]) -> httpx2.Response:
        self.creations += 1
        if self.creations == 1:
            if self._makes and self._late:
                self._unmade = body
            elif self._makes:
                self._make(body)
            raise httpx2.ReadError("podman died")
        if self._unmade is not None:
            self._make(self._unmade)
        if any(each["name"] == body.get("name") for each in self.containers.values()):
            text = "that name is already in use"
            return httpx2.Response(409, json={"cause": text, "message": text})
        return httpx2.Response(201, json={"Id": self._make(body), "Warnings": []})

    def _make(self, body: dict[str, Any]) -> str:
        made = f"{self.creations}" * 64
        self.containers[made] = {**body, "name": body.get("name", "a random one")}
        return made

    def _listed(self, labels: list[str]) -> httpx2.Response:
        assert labels == ["run=1"]
        return httpx2.Response(
            200,
            json=[
                {"Id": made, "Names": [body["name"]], "State": "created", "Labels": LABELS}
                for made, body in self.containers.items()
            ],
        )

    def _inspected(self, name: str) -> httpx2.Response:
        for made, body in self.containers.items():
            if name in {made, body["name"]}:
                config = {"Annotations": body["annotations"], "Labels": body.get("labels")}
                return httpx2.Response(200, json={"Id": made, "Config": config})
        return httpx2.Response(404, json={"cause": "no such container", "message": "none"})


@pytest.mark.parametrize("spec", [NAMED, LABELLED, NAMELESS], ids=["named", "labelled", "nameless"])
async def test_the_container_that_was_just_made_is_found(spec: ContainerSpec) -> None:
    service = Service(makes=True)

    async with service.client() as podman:
        container = await podman.containers.create(spec)

    assert ([container.id], service.creations) == (list(service.containers), 1)


@pytest.mark.parametrize("spec", [NAMED, LABELLED], ids=["named", "labelled"])
async def test_a_name_is_asked_for_once_more_where_nothing_was_made(spec: ContainerSpec) -> None:
    service = Service(makes=False)

    async with service.client() as podman:
        container = await podman.containers.create(spec)

    assert ([container.id], service.creations) == (list(service.containers), 2)


@pytest.mark.parametrize("spec", [NAMED, LABELLED], ids=["named", "labelled"])
async def test_what_was_made_after_it_was_looked_for_is_found(spec: ContainerSpec) -> None:
    service = Service(makes=True, late=True)

    async with service.client() as podman:
        container = await podman.containers.create(spec)

    assert [container.id] == list(service.containers)


@pytest.mark.parametrize("spec", [NAMED, LABELLED], ids=["named", "labelled"])
async def test_a_container_that_others_made_is_not_taken_for_it(spec: ContainerSpec) -> None:
    service = Service(makes=False, others=True)

    async with service.client() as podman:
        with pytest.raises(Conflict, match="that name is already in use"):
            await podman.containers.create(spec)

    assert list(service.containers) == [OTHERS]


async def test_without_a_name_no_second_one_is_asked_for() -> None:
    service = Service(makes=False, others=True)

    async with service.client() as podman:
        with pytest.raises(TransportError, match="podman died"):
            await podman.containers.create(NAMELESS)

    assert service.creations == 1
