"""A transfer between podman and a registry: its progress, and how it ended."""

from __future__ import annotations

from collections.abc import Callable

from barasync.aiopodman.errors import ServerError
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.login import RegistryLogin, login_headers
from barasync.aiopodman.models import TransferProgress
from barasync.aiopodman.streams import DecodedStream
from barasync.aiopodman.transport import Query
from barasync.aiopodman.wire.ndjson import RecordDecoder


async def transfer(
    libpod: Libpod,
    path: str,
    query: Query,
    *,
    login: RegistryLogin | None,
    on_progress: Callable[[str], None] | None,
    failure: str,
) -> TransferProgress:
    """POST what moves images, and read to its end what podman says meanwhile.

    Returns the last record that names what was moved, an empty one where none does. `on_progress`
    is called with podman's lines of text. Takes as long as the registry does. When cancelled,
    podman gives the transfer up.

    Raises:
        ServerError: podman says after `200 OK` that it failed; the message begins with `failure`.
        APIError: it refused at once.
    """
    problem = ""
    last = TransferProgress()
    opened = libpod.stream("POST", path, query, unhurried=True, headers=login_headers(login))
    async with opened as data:
        async for record in DecodedStream(data, RecordDecoder(TransferProgress)):
            if record.stream and on_progress is not None:
                on_progress(record.stream.rstrip("\n"))
            problem = record.error or problem
            if record.id or record.list_digest or record.digest:
                last = record
    if problem:
        raise failed(path, failure, problem)
    return last


def failed(path: str, failure: str, reason: str) -> ServerError:
    """Return the error of a transfer that podman had answered with 200 before it failed."""
    return ServerError(
        status=200,
        cause=reason,
        message=f"{failure}: {reason}",
        method="POST",
        path=f"/libpod/{path}",
    )
