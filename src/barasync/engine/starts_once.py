"""A container under a policy that may outlive its command: nobody starts it again without rules.

Its rules are in its network namespace, and podman makes another one whenever it starts a container
that has ended (`podman restart`, `podman start` after a boot), of which nobody tells us. So it has
a file of the service's host mounted that is gone once it runs: the runtime then refuses to make it
anew, and its name in podman's error says why (measured with podman 4.3.1 and 5.4.2).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from barasync.aiopodman import ContainerSpec, Mount
from barasync.aiopodman.service_threads import thread_at_home
from barasync.engine.identity import Identity, Liveness, StartOf, name_of, start_time
from barasync.engine.job import Job, Session
from barasync.networks.namespace import NamespaceError

# Nothing in it outlives a boot, and every user's podman gets there.
_DIRECTORY = "/dev/shm"  # noqa: S108 - the name is random, and nothing is read from the file
_TOKEN_BYTES = 8
_PREFIX = "barasync-starts-only-once-under-its-network-rules-"
# There podman mounts a file system of the container's own: its layers know nothing of it.
_DESTINATION = "/dev/.barasync-starts-only-once"


class Mark:
    """The file without which a container does not start; `make` comes first, `remove` after all.

    `process` is one in the mount namespace of the service, and `labels` are those of the run.
    """

    def __init__(self, process: int, labels: Mapping[str, str]) -> None:
        self._process = process
        self._name = f"{_PREFIX}{secrets.token_hex(_TOKEN_BYTES)}-{name_of(labels)}"
        self._directory: int | None = None

    def make(self, spec: ContainerSpec) -> ContainerSpec:
        """Make the file, and return `spec` with it mounted; blocking.

        Raises:
            NamespaceError: it cannot be made.
        """
        try:
            self._directory = _opened(self._process)
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            os.close(os.open(self._name, flags, mode=0o444, dir_fd=self._directory))
        except OSError as error:
            self.remove()
            raise NamespaceError(
                f"{_DIRECTORY} of the service's host takes no file without which a container that"
                f" goes on would not start again without its network's rules: {error.strerror}",
            ) from error
        mounted = Mount(f"{_DIRECTORY}/{self._name}", _DESTINATION, ("ro",))
        return replace(spec, mounts=(*spec.mounts, mounted))

    def remove(self) -> None:
        """Remove the file; nothing happens the second time."""
        if self._directory is None:
            return
        with suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._directory)
        os.close(self._directory)
        self._directory = None


def mark_of(job: Job, session: Session) -> Mark | None:
    """Return what the container of a job needs that may go on by itself, `None` for others."""
    bound = session.may_leave and job.cell.policy is not None
    return Mark(session.host, session.labels) if bound else None


def remove_marks(
    identity: Identity, *, directory: Path = Path(_DIRECTORY), start_of: StartOf = start_time
) -> None:
    """Remove the files of runs that are dead; blocking.

    A run leaves one where it was killed between the creation of a container and its start: that
    container is never to start. Files of other users stay, unless we are root.
    """
    for path in directory.glob(f"{_PREFIX}*"):
        _token, _, run = path.name.removeprefix(_PREFIX).partition("-")
        labels = identity.of_name(run)
        if labels is not None and identity.judge(labels, start_of) is Liveness.DEAD:
            with suppress(FileNotFoundError, PermissionError):
                path.unlink()


def _opened(process: int) -> int:
    """Open the directory as the service sees it, or else as this process does."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    with suppress(PermissionError):
        thread = thread_at_home(process, "mnt")
        return os.open(Path(f"/proc/{thread}/root{_DIRECTORY}"), flags)
    return os.open(_DIRECTORY, flags)
