"""Requests to the libpod API of one service, below one version."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import quote

import msgspec

from barasync.aiopodman.quirk import Quirk
from barasync.aiopodman.texts import refuse_text
from barasync.aiopodman.transport import Answer, Query, Transport
from barasync.aiopodman.upgrade import Duplex
from barasync.aiopodman.version import PodmanVersion
from barasync.aiopodman.wire.documents import decode_document

T = TypeVar("T")

_NO_QUERY: Query = MappingProxyType({})
_NO_SEGMENTS = frozenset({"", ".", ".."})


class InvalidName(ValueError):
    """Nothing can have this name or ID, and nobody was asked: it is empty, `.` or `..`."""


@dataclass(frozen=True, slots=True)
class Libpod:
    """A transport and the version negotiated over it; paths are relative to `/vX/libpod/`.

    The methods raise what `Transport.request` and `Transport.stream` raise.
    """

    transport: Transport
    version: PodmanVersion

    def has(self, quirk: Quirk) -> bool:
        """Tell whether this podman has a trap of the table in `quirks`."""
        return quirk.is_active(self.version.release)

    async def get(
        self,
        path: str,
        as_type: type[T],
        query: Query = _NO_QUERY,
        *,
        patience: float | None = 0.0,
        once: bool = False,
    ) -> T:
        """GET a JSON document; `patience` and `once` as in the transport."""
        return decode_document(await self.read(path, query, patience=patience, once=once), as_type)

    async def read(
        self,
        path: str,
        query: Query = _NO_QUERY,
        *,
        patience: float | None = 0.0,
        once: bool = False,
    ) -> bytes:
        """GET an answer as it is, which may be empty; `patience` and `once` as in the transport."""
        answer = await self.transport.request(
            "GET", self._full(path), query=query, patience=patience, once=once
        )
        return answer.body

    async def ask(self, path: str) -> None:
        """GET what is answered without a document, by the status alone."""
        await self.transport.request("GET", self._full(path))

    async def head(self, path: str, query: Query = _NO_QUERY) -> Answer:
        """Ask for the headers of an answer alone; podman gives no reason for an error then."""
        return await self.transport.request("HEAD", self._full(path), query=query)

    async def post(
        self,
        path: str,
        query: Query = _NO_QUERY,
        *,
        body: object = None,
        content: bytes | AsyncIterable[bytes] | None = None,
        patience: float | None = 0.0,
    ) -> Answer:
        """POST a JSON `body`, bytes, a stream of them, or nothing; for `patience` see there."""
        return await self.transport.request(
            "POST",
            self._full(path),
            query=query,
            content=content if body is None else msgspec.json.encode(body),
            patience=patience,
        )

    async def put(self, path: str, content: AsyncIterable[bytes], query: Query) -> Answer:
        """PUT a stream of bytes, for as long as it takes."""
        return await self.transport.request(
            "PUT", self._full(path), query=query, content=content, patience=None
        )

    async def put_document(
        self,
        path: str,
        body: object,
        query: Query = _NO_QUERY,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        patience: float | None = 0.0,
    ) -> None:
        """PUT a JSON document; `patience` as in the transport."""
        content = msgspec.json.encode(body)
        await self.transport.request(
            "PUT",
            self._full(path),
            query=query,
            content=content,
            headers=headers,
            patience=patience,
        )

    async def delete(
        self, path: str, query: Query = _NO_QUERY, *, patience: float | None = 0.0
    ) -> Answer:
        """DELETE an object; `patience`, and an answer of 404, as in the transport."""
        return await self.transport.request(
            "DELETE", self._full(path), query=query, patience=patience
        )

    def stream(
        self,
        method: str,
        path: str,
        query: Query,
        *,
        unhurried: bool = False,
        patience: float = 0.0,
        headers: Mapping[str, str] = MappingProxyType({}),
        content: AsyncIterable[bytes] | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a streamed answer; `unhurried` where podman sends even the headers late.

        `patience` is how many seconds later than any others it may send them.
        """
        return self.transport.stream(
            method,
            self._full(path),
            query=query,
            headers=headers,
            content=content,
            headers_within=None if unhurried else self.transport.timeout + patience,
        )

    def upgraded(
        self, path: str, query: Query = _NO_QUERY, *, body: object = None
    ) -> AbstractAsyncContextManager[Duplex]:
        """POST a JSON `body`, or nothing, and have the connection given over."""
        content = None if body is None else msgspec.json.encode(body)
        return self.transport.upgraded(self._full(path), query=query, content=content)

    def _full(self, path: str) -> str:
        return f"/{self.version.api}/libpod/{path}"


def segment(name: str) -> str:
    """Quote a name or an ID to be one segment of a path, whatever is in it.

    Raises:
        InvalidName: it is empty, `.` or `..`: the path would lead to something else.
    """
    return _one(name, name, safe="")


def segments(reference: str) -> str:
    """Quote an image reference, or an ID, for a path; podman wants its slashes as they are.

    Raises:
        InvalidName: what is between two slashes is empty, `.` or `..`.
    """
    return "/".join(_one(part, reference, safe=":@") for part in reference.split("/"))


def _one(part: str, whole: str, *, safe: str) -> str:
    # The HTTP library and podman resolve these, so that the path would name another object.
    if part in _NO_SEGMENTS:
        raise InvalidName(f"{whole!r} cannot be the name or the ID of anything in podman")
    return quote(part, safe=safe)


def label_filters(labels: Mapping[str, str | None] | None) -> list[str]:
    """Return labels as podman's filters take them: `name=value`, or `name` for any value."""
    return [name if value is None else f"{name}={value}" for name, value in (labels or {}).items()]


def carries(labels: Mapping[str, str], wanted: Mapping[str, str | None] | None) -> bool:
    """Tell whether something has every one of the labels that were asked for."""
    return all(
        name in labels and value in {None, labels[name]} for name, value in (wanted or {}).items()
    )


def encode_filters(filters: Mapping[str, Sequence[str]]) -> str | None:
    """Return filters as podman's query takes them, a JSON object of lists; `None` for none.

    Raises:
        TypeError: the values of one of them are a text.
    """
    refuse_text("filters", *filters.values())
    wanted = {name: list(values) for name, values in filters.items() if values}
    return msgspec.json.encode(wanted).decode() if wanted else None
