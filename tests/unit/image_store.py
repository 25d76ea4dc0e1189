"""A podman service that has images and nothing else, behind the client's real requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx2

from barasync.aiopodman import Endpoint, Podman

_ENDPOINT = Endpoint("unix:///nowhere/podman.sock", "a test")


@dataclass
class StoredImage:
    """An image; `members` maps an architecture to an ID and makes it a manifest list.

    One without a name that `has_children` is in a list of all images only.
    """

    id: str
    names: list[str]
    architecture: str = ""
    variant: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    members: Mapping[str, str] | None = None
    content: bytes = b""
    changes: list[str] = field(default_factory=list)
    digests: tuple[str, ...] = ()
    digest: str = ""
    has_children: bool = False


@dataclass
class ImageStore:
    """Images by ID; `registry` maps a reference to what a pull of an architecture gives.

    A value in `registry` is an image, or the text of podman's refusal. `lists` has the digests of
    the references that are manifest lists there; `changed` replaces references, by others in
    `registry`, for who asks what they stand for.
    """

    images: list[StoredImage] = field(default_factory=list)
    registry: dict[tuple[str, str], StoredImage | str] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    drafts: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    native: str = "amd64"
    requests: list[str] = field(default_factory=list)
    broken: bool = False

    def add(self, name: str, architecture: str, **more: Any) -> StoredImage:
        image = StoredImage(
            id=hashlib.sha256(f"{name} {architecture}".encode()).hexdigest(),
            names=[name],
            architecture=architecture,
            **more,
        )
        self.images.append(image)
        return image

    def find(self, name: str) -> StoredImage | None:
        """Return what podman's `inspect` answers for: of a manifest list the native image."""
        full = name if "/" in name or len(name) == 64 else f"localhost/{name}"
        for image in self.images:
            if image.id == name or full in image.names:
                if image.members is None:
                    return image
                member = image.members.get(self.native)
                return None if member is None else self.find(member)
        return None

    def given(self, reference: str, architecture: str) -> StoredImage | str:
        """Return what a pull gives: an image, or the text of podman's refusal."""
        return self.registry.get((reference, architecture), "connection refused")

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Podman]:
        transport = httpx2.MockTransport(self._handle)
        async with Podman(_ENDPOINT, timeout=5, transport=transport) as podman:
            yield podman

    async def _handle(self, request: httpx2.Request) -> httpx2.Response:
        path = unquote(request.url.path)
        if path == "/libpod/_ping":
            return httpx2.Response(200, text="OK", headers={"Libpod-API-Version": "5.4.2"})
        if self.broken:
            raise httpx2.ReadError("gone")
        _, _, path = path.removeprefix("/").partition("/libpod/")
        self.requests.append(f"{request.method} {path}")
        query = request.url.params
        if (request.method, path) == ("POST", "images/import"):
            return await self._import(request)
        if (request.method, path) == ("POST", "images/pull"):
            return self._pull(query["reference"], query.get("Arch", self.native))
        if path == "images/json":
            shown = [
                image
                for image in self.images
                if query.get("all") == "true" or image.names or not image.has_children
            ]
            return httpx2.Response(200, json=[_summary(image) for image in shown])
        kind, _, rest = path.partition("/")
        if kind == "manifests" and "localhost/barasync/list:" in rest:
            return await self._draft(request, rest)
        name, _, action = rest.rpartition("/")
        return (
            self._manifest(name, action)
            if kind == "manifests"
            else self._image(name, action, query)
        )

    def _image(self, name: str, action: str, query: httpx2.QueryParams) -> httpx2.Response:
        found = self.find(name)
        if found is None:
            cause = "image not known"
            document = {"cause": cause, "message": f"{name}: {cause}", "response": 404}
            return httpx2.Response(404, json=document)
        if action == "untag":
            found.names.remove(f"{query['repo']}:{query['tag']}")
            return httpx2.Response(201)
        if action == "tag":
            given = f"{query['repo']}:{query['tag']}"
            for image in self.images:
                image.names = [name for name in image.names if name != given]
            found.names.append(given)
            return httpx2.Response(201)
        assert action == "json", f"an unexpected request: {action} of {name}"
        return httpx2.Response(200, json=_inspect(found))

    async def _import(self, request: httpx2.Request) -> httpx2.Response:
        query = request.url.params
        name = query["reference"]
        for image in self.images:
            image.names = [other for other in image.names if other != name]
        changes = query.get_list("changes")
        labels = dict(
            change.removeprefix("LABEL ").split("=", 1)
            for change in changes
            if change.startswith("LABEL ")
        )
        image = self.add(
            name,
            query["Architecture"],
            content=await request.aread(),
            changes=changes,
            labels={key: json.loads(value) for key, value in labels.items()},
        )
        image.id = hashlib.sha256(image.content).hexdigest()
        return httpx2.Response(200, json={"Id": f"sha256:{image.id}"})

    def _pull(self, reference: str, architecture: str) -> httpx2.Response:
        given = self.given(reference, architecture)
        if isinstance(given, str):
            return httpx2.Response(200, text=json.dumps({"error": given}))
        for image in self.images:
            image.names = [name for name in image.names if name != reference]
        its_list = self.lists.get(reference, "")
        if given not in self.images:
            self.images.append(given)
            given.digest = its_list
        if "@" not in reference:
            given.names.append(reference)
        digests = (f"sha256:{given.id}", *filter(None, [its_list]))
        known = (f"{_repository(reference)}@{digest}" for digest in digests)
        given.digests = tuple(dict.fromkeys((*given.digests, *known)))
        lines = ({"stream": f"Trying to pull {reference}...\n"}, {"id": given.id})
        return httpx2.Response(200, text="\n".join(map(json.dumps, lines)))

    async def _draft(self, request: httpx2.Request, rest: str) -> httpx2.Response:
        """Answer for a list to which images of a registry are added, to learn their digests."""
        name, _, action = rest.rpartition("/")
        if action in {"exists", "json"}:
            document = {"manifests": self.drafts[name]}
            return httpx2.Response(200, json=document)
        if request.method == "POST":
            self.drafts[rest] = []
            return httpx2.Response(200, json={"Id": "d" * 64})
        if request.method == "DELETE":
            del self.drafts[rest]
            return httpx2.Response(200, json={})
        reference = json.loads(await request.aread())["images"][0].removeprefix("docker://")
        entries = self._entries(self.changed.get(reference, reference))
        if not entries:
            return httpx2.Response(500, json={"cause": "manifest unknown", "message": "no"})
        self.drafts[rest] = entries
        return httpx2.Response(200, json={"Id": "d" * 64})

    def _entries(self, reference: str) -> list[dict[str, object]]:
        repository, _, digest = reference.partition("@")
        found: dict[str, str] = {}
        for (name, architecture), image in self.registry.items():
            if isinstance(image, str):
                continue
            is_it = _repository(name) == repository and digest == f"sha256:{image.id}"
            if name == reference or is_it:
                found[architecture] = image.id
        return [
            {
                "digest": f"sha256:{image_id}",
                "platform": {"os": "linux", "architecture": architecture},
            }
            for architecture, image_id in found.items()
        ]

    def _manifest(self, name: str, action: str) -> httpx2.Response:
        full = name if "/" in name else f"localhost/{name}"
        for image in self.images:
            if full in image.names and image.members is not None:
                if action == "exists":
                    return httpx2.Response(204)
                entries = [
                    {
                        "digest": f"sha256:{member}",
                        "platform": {"os": "linux", "architecture": architecture},
                    }
                    for architecture, member in image.members.items()
                ]
                return httpx2.Response(200, json={"manifests": entries})
        raise AssertionError(f"podman would ask a registry for the manifest of {name}")


def _summary(image: StoredImage) -> dict[str, object]:
    return {"Id": image.id, "Digest": f"sha256:{image.id}", "RepoTags": image.names or None}


def _inspect(image: StoredImage) -> dict[str, object]:
    return {
        "Id": image.id,
        "Architecture": image.architecture,
        "Variant": image.variant,
        "Os": "linux",
        "RepoTags": image.names,
        "RepoDigests": list(image.digests),
        "Digest": image.digest or f"sha256:{image.id}",
        "Labels": image.labels or None,
    }


def _repository(reference: str) -> str:
    head, slash, last = reference.partition("@")[0].rpartition("/")
    return head + slash + last.partition(":")[0]
