"""What is mounted where a cell's workspace is the project's directory itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from barasync.aiopodman import ContainerSpec, Mount
from barasync.config.schema import WorkspaceMode
from barasync.errors import ConfigError
from barasync.workspace.live import mount_hint, with_workspace, workdir_hint

VOLUME = Mount("/cache", "/cache")
BARE = ContainerSpec(image="1f3a", mounts=(VOLUME,))
PROJECT = Path("/home/me/project")
MOUNT = Mount("/home/me/project", "/workspace")


def test_without_a_workspace_nothing_is_added() -> None:
    assert with_workspace(BARE, WorkspaceMode.NONE, PROJECT) == BARE


def test_in_a_layer_a_container_only_starts_there() -> None:
    expected = replace(BARE, work_dir="/workspace")

    assert with_workspace(BARE, WorkspaceMode.LAYER, PROJECT) == expected


@pytest.mark.parametrize(
    ("mode", "mounted"),
    [
        (WorkspaceMode.OVERLAY, {"overlays": (MOUNT,)}),
        (WorkspaceMode.BIND, {"mounts": (VOLUME, MOUNT)}),
    ],
)
def test_the_directory_is_mounted_without_the_record_of_runs(
    mode: WorkspaceMode, mounted: dict[str, tuple[Mount, ...]]
) -> None:
    expected = replace(BARE, work_dir="/workspace", hidden=("/workspace/.barasync",))

    assert with_workspace(BARE, mode, PROJECT) == replace(expected, **mounted)  # type: ignore[arg-type] # by name


@pytest.mark.parametrize(
    ("source", "hidden"),
    [
        ("project", ("/p/.barasync",)),
        ("", ("/p/project/.barasync",)),
        ("link", ("/p/.barasync",)),
        ("project/src", ()),
        ("project/.barasync2", ()),
        ("project.bak", ()),
    ],
)
@pytest.mark.parametrize("mode", [WorkspaceMode.NONE, WorkspaceMode.LAYER])
def test_the_record_of_runs_is_hidden_in_every_mount_that_has_it(
    tmp_path: Path, source: str, hidden: tuple[str, ...], mode: WorkspaceMode
) -> None:
    (tmp_path / "project/.barasync/runs").mkdir(parents=True)
    (tmp_path / "link").symlink_to("project")
    spec = ContainerSpec(image="1f3a", mounts=(Mount(str(tmp_path / source), "/p"),))

    assert with_workspace(spec, mode, tmp_path / "project").hidden == hidden


@pytest.mark.parametrize("source", [".barasync", ".barasync/runs"])
def test_the_record_of_runs_itself_is_not_mounted(tmp_path: Path, source: str) -> None:
    spec = ContainerSpec(image="1f3a", mounts=(Mount(str(tmp_path / source), "/p"),))

    with pytest.raises(ConfigError, match="no cell may change that"):
        with_workspace(spec, WorkspaceMode.NONE, tmp_path)


@pytest.mark.parametrize(
    ("message", "known"),
    [
        ('preparing container 1 for attach: mounting overlay failed "/p": invalid argument', True),
        (
            "crun: mount `/s/overlay-containers/1/userdata/overlay/2/merge` to `w`: EINVAL",
            True,
        ),
        ("crun: mount `/home/me/overlay` to `data`: Permission denied", False),
        ("no space left on device", False),
    ],
)
def test_a_refused_overlay_is_told_from_other_errors(message: str, known: bool) -> None:
    assert (mount_hint(message) is not None) == known


@pytest.mark.parametrize(
    ("message", "known"),
    [
        ('preparing container 1 for attach: workdir "/no" does not exist on container 1', True),
        ('workdir "/etc/passwd" exists on container 1, but is not a directory', True),
        ("crun: chdir `/proc/x`: No such file or directory: OCI runtime attempted", True),
        ("crun: chdir to `/proc/x`: No such file or directory: OCI runtime attempted", True),
        ("crun: executable file `x` not found in $PATH: No such file or directory", False),
    ],
)
def test_a_directory_to_start_in_that_is_missing_is_told_from_other_errors(
    message: str, known: bool
) -> None:
    """As podman 4.3.1 and 5.4.2 say it."""
    assert (workdir_hint(message) is not None) == known
