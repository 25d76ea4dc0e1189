"""Whose the containers are that podman's builder works in: each has what was asked for beside it.

Podman does not tell of that, and such a container has no label; the file is in podman's storage.
Among what was asked for is the cgroup, whose name tells of which build it is, and whose that was.
Source: containers/buildah, `Builder.Save`. Measured on podman 4.3.1 and 5.4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from anyio import to_thread

from barasync.aiopodman import Podman
from barasync.engine.build_processes import cgroup_of_parent

_STORAGE = "storage"  # the state of a container that a builder works in


class _Options(msgspec.Struct):
    cgroup_parent: str = msgspec.field(name="CgroupParent", default="")


class _Record(msgspec.Struct):
    options: _Options | None = msgspec.field(name="CommonBuildOpts", default=None)


async def working_containers(podman: Podman) -> Mapping[str, str | None]:
    """Return the containers that builders work in, anybody's, each with the cgroup of its build.

    The cgroup is `None` where that cannot be read here, and empty where none was asked for that
    `parent_of` can have named.

    Raises:
        PodmanError: the service does not answer.
    """
    found = await podman.containers.list(all=True, external=True)
    working = [each.id for each in found if each.state == _STORAGE]
    if not working:
        return {}
    store = (await podman.system.info()).store
    directory = Path(store.graph_root, f"{store.graph_driver_name}-containers")
    return await to_thread.run_sync(lambda: {each: _cgroup(directory, each) for each in working})


def _cgroup(directory: Path, container: str) -> str | None:
    try:
        text = (directory / container / "userdata" / "buildah.json").read_bytes()
        options = msgspec.json.decode(text, type=_Record).options
    except (OSError, msgspec.MsgspecError):
        return None
    return "" if options is None else cgroup_of_parent(options.cgroup_parent)
