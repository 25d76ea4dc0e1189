"""Whether a podman service can mount the project's directory as it lies here."""

from __future__ import annotations

import os
from pathlib import Path

from barasync.aiopodman.service_threads import thread_at_home
from barasync.cli.connect import Connection
from barasync.config.schema import WorkspaceMode
from barasync.errors import ConfigError

_HINT = "`--workspace layer` sends the files, to any service"
# Podman writes the path into the options of mount(8) as it is. (Measured on 4.3.1 and 5.4.2.)
_IN_NO_OVERLAY = (",", "\\")


def require_shared(connection: Connection, directory: Path, *, mode: WorkspaceMode) -> None:
    """Make sure that the service sees at this path the very directory that we see.

    The proof is the directory's device and inode as a process of the service sees them, through
    `/proc/PID/root`. Without a proof it is refused: the cells would get other files, or write into
    another directory. Blocking.

    Raises:
        ConfigError: the service is on another machine, in another mount namespace, or cannot be
            looked at; or the path has characters that the mode cannot have in it.
    """
    problem = _problem_of_path(directory, mode) or _problem_of_sight(connection, directory)
    if problem is not None:
        raise ConfigError(f"workspace '{mode}' cannot be had: {problem}", hint=_HINT)


def _problem_of_path(directory: Path, mode: WorkspaceMode) -> str | None:
    try:
        str(directory).encode("utf-8")
    except UnicodeEncodeError:
        shown = os.fsencode(directory).decode("utf-8", "backslashreplace")
        return f"the path {shown} is not UTF-8, as all that podman is sent"
    wrong = next((each for each in _IN_NO_OVERLAY if each in str(directory)), None)
    if mode is WorkspaceMode.OVERLAY and wrong is not None:
        return f"no overlay can be mounted of a path with {wrong!r} in it, as {directory} has"
    return None


def _problem_of_sight(connection: Connection, directory: Path) -> str | None:
    service = f"the podman service at {connection.endpoint}"
    if not connection.local:
        host = connection.host.hostname
        return f"{service} runs on another machine, {host}, and does not see {directory}"
    if connection.pid is None:
        return f"no process of {service} can be seen from here"
    thread = thread_at_home(connection.pid, "mnt")
    try:
        theirs = Path(f"/proc/{thread}/root/{directory.resolve()}").stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"{service} sees no {directory} (another mount namespace?)"
    except OSError as error:
        return f"what {service} sees of {directory} cannot be known: {error.strerror}"
    if not os.path.samestat(directory.stat(), theirs):
        return f"{service} sees another directory at {directory} (another mount namespace?)"
    return None
