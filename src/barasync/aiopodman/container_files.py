"""The files of a container: archives of them, files put into it, and images made of it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from barasync.aiopodman.archives import PathStat, open_archive, send_archive, stat_path
from barasync.aiopodman.libpod import Libpod, segment
from barasync.aiopodman.models import Created
from barasync.aiopodman.texts import refuse_text
from barasync.aiopodman.transport import Query
from barasync.aiopodman.wire.documents import decode_document
from barasync.aiopodman.wire.reference import parse_reference


class ContainerFiles:
    """What a handle on a container can do with its files; it need not run for that."""

    def __init__(self, libpod: Libpod, container_id: str) -> None:
        self.id = container_id
        self._libpod = libpod

    def archive(self, path: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a tar archive of a file or directory, in pieces, as podman packs it.

        The root entry has the path's last name; `DIRECTORY/.` gives the contents instead. A
        symlink at `path` itself is followed, those below are members. The members are whatever the
        container made: trust none. Of a container that was started, ask once its state has `ended`.

        Raises:
            NotFound: on entering, when there is no such path.
            StreamTruncated: while iterating, when the archive is not whole; what was yielded
                before is part of it.

        Source: `GET /libpod/containers/{id}/archive`.
        """
        return open_archive(self._libpod, self._path(), path)

    def export(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a tar archive of all the container's files, in pieces; nothing that is mounted.

        The members are whatever the container made: trust none.

        Raises:
            StreamTruncated: while iterating, as `archive`.

        Source: `GET /libpod/containers/{id}/export`.
        """
        return open_archive(self._libpod, self._path(), None)

    async def stat(self, path: str) -> PathStat | None:
        """Look at an absolute path in the container; `None` if nothing is there.

        Before the container runs nothing but volumes and binds is mounted. What lies below the
        place of one is looked for there, and a link at such a place does not show.

        Raises:
            ServerError: links lead round in a circle.

        Source: `HEAD /libpod/containers/{id}/archive`, measured on 4.3.1 and 5.4.2; it does not
        tell a path that is not there from a container that does not exist.
        """
        return await stat_path(self._libpod, self._path(), path)

    async def put_archive(
        self, path: str, chunks: AsyncIterable[bytes], *, keep_kinds: bool = False
    ) -> None:
        """Unpack a tar archive into a directory of the container; it need not run.

        Podman makes the directory if it is missing, and gives the files to the container's user.
        With `keep_kinds` a directory does not take the place of anything else, nor that of it.
        When cancelled, part of the files may be there.

        Raises:
            StreamTruncated: podman answered before it had all of the archive.

        Source: `PUT /libpod/containers/{id}/archive`.
        """
        query: Query = {"path": path, "noOverwriteDirNonDir": keep_kinds or None}
        await send_archive(self._libpod, self._path(), chunks, query)

    async def commit(
        self,
        *,
        repository: str,
        tag: str,
        changes: Sequence[str] = (),
        pause: bool = False,
        docker_format: bool = False,
    ) -> str:
        """Make an image of the container's files and settings; return its ID.

        `changes` are Containerfile instructions, such as `WORKDIR /workspace`. The image keeps the
        architecture of the container's image, and has the container's command, environment, user
        and labels. A health check of its image stays in Docker's format only.

        Raises:
            InvalidReference: `repository` and `tag` are not an image reference.

        Source: `POST /libpod/commit`.
        """
        refuse_text("changes", changes)
        parse_reference(f"{repository}:{tag}")
        query: Query = {
            "container": self.id,
            "repo": repository,
            "tag": tag,
            "pause": pause,
            "changes": changes,
            "format": "docker" if docker_format else None,
        }
        answer = await self._libpod.post("commit", query, patience=None)
        return decode_document(answer.body, Created).id

    def _path(self, action: str = "") -> str:
        return "/".join(part for part in ("containers", segment(self.id), action) if part)
