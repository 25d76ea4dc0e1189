"""Whether a service sees the project's directory: what is proof, and what is said without it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from barasync.aiopodman import Endpoint
from barasync.cli.connect import Connection
from barasync.cli.sharing import require_shared
from barasync.config.schema import WorkspaceMode
from barasync.errors import ConfigError

MODES = [WorkspaceMode.OVERLAY, WorkspaceMode.BIND]


def connection(**facts: Any) -> Connection:
    known = {
        "endpoint": Endpoint("unix:///s", "a test"),
        "host": SimpleNamespace(hostname="far"),
        "local": True,
        "pid": os.getpid(),
    }
    return cast("Connection", SimpleNamespace(**{**known, **facts}))


@pytest.mark.parametrize("mode", MODES)
def test_a_service_that_sees_the_same_directory_may_mount_it(
    tmp_path: Path, mode: WorkspaceMode
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "link").symlink_to("project")

    require_shared(connection(), tmp_path / "project", mode=mode)
    require_shared(connection(), tmp_path / "link", mode=mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"local": False}, "runs on another machine, far, and does not see /"),
        ({"pid": None}, "no process of the podman service at .* can be seen from here"),
        ({"pid": 2**22 + 1}, r"sees no /.* \(another mount namespace\?\)"),
    ],
    ids=["elsewhere", "unseen", "gone"],
)
def test_without_a_proof_the_mode_is_refused(
    tmp_path: Path, mode: WorkspaceMode, facts: dict[str, Any], problem: str
) -> None:
    with pytest.raises(
        ConfigError, match=f"workspace '{mode}' cannot be had: .*{problem}"
    ) as error:
        require_shared(connection(**facts), tmp_path, mode=mode)

    assert error.value.hint == "`--workspace layer` sends the files, to any service"


@pytest.mark.parametrize("name", ["a,b", "a\\b"])
def test_a_path_that_no_overlay_can_have_is_refused_for_overlays_only(
    tmp_path: Path, name: str
) -> None:
    directory = tmp_path / name
    directory.mkdir()

    require_shared(connection(), directory, mode=WorkspaceMode.BIND)
    with pytest.raises(ConfigError, match="no overlay can be mounted of a path with"):
        require_shared(connection(), directory, mode=WorkspaceMode.OVERLAY)


@pytest.mark.parametrize("mode", MODES)
def test_a_path_that_is_not_utf_8_is_refused(tmp_path: Path, mode: WorkspaceMode) -> None:
    directory = tmp_path / os.fsdecode(b"caf\xe9")
    directory.mkdir()

    with pytest.raises(ConfigError, match=r"the path /.*/caf\\xe9 is not UTF-8"):
        require_shared(connection(), directory, mode=mode)
