"""Where the command of a cell starts, on real podmans."""

from __future__ import annotations

import pytest

from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync

NATIVE = native_architecture()
MODES = ["layer", "overlay", "bind", "none"]


@pytest.mark.parametrize("workspace", MODES)
def test_a_command_starts_in_its_workdir_whatever_the_workspace_is(
    barasync: Barasync, busybox: str, workspace: str
) -> None:
    (barasync.directory / "sub dir").mkdir()
    (barasync.directory / "sub dir/file").touch()
    where = "/tmp" if workspace == "none" else "/workspace/sub dir"

    run = barasync("run", "--workspace", workspace, "--workdir", where, busybox, "--", "pwd")
    shell = barasync("shell", "--workspace", workspace, "-w", where, busybox, "--", "pwd")

    assert (run.code, run.out) == (0, f"{where}\n"), run.err
    assert (shell.code, shell.out) == (0, f"{where}\n"), shell.err


def test_cells_of_a_matrix_start_where_their_configuration_says(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["pwd"]
        workspace = "none"
        workdir = "/etc"
        [matrix]
        config = ["plain", "other"]
        [config.other]
        workdir = "/tmp"
        """
    )

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log(f"{NATIVE}-plain") == "/etc\n"
    assert barasync.log(f"{NATIVE}-other") == "/tmp\n"


def test_a_workdir_that_is_not_there_is_said_and_nothing_runs(
    barasync: Barasync, busybox: str
) -> None:
    missing = barasync("run", "--workdir=/no/where", busybox, "--", "pwd")
    file = barasync("run", "--workdir=/etc/passwd", busybox, "--", "pwd")
    relative = barasync("run", "--workdir=src", busybox, "--", "pwd")

    assert (missing.code, missing.out) == (125, "")
    assert 'workdir "/no/where" does not exist' in missing.err
    assert "has to be a directory of the image or of a mount" in missing.err
    assert (file.code, file.out) == (125, "")
    assert "is not a directory" in file.err
    assert relative.code == 2
    assert "--workdir: 'src' is not an absolute path in the container" in relative.err


@pytest.mark.parametrize("option", ["", ":ro"])
def test_a_workdir_that_a_mount_lacks_is_made_there(
    barasync: Barasync, busybox: str, option: str
) -> None:
    """Nobody asked for that: it is what the container runtime does, and `docs/podman.md` says."""
    volume = barasync.directory / "volume"
    volume.mkdir()

    ended = barasync(
        "run", f"--volume={volume}:/data{option}", "--workdir=/data/a/b", busybox, "--", "pwd"
    )

    assert (ended.code, ended.out) == (0, "/data/a/b\n"), ended.err
    assert (volume / "a/b").is_dir()


def test_a_shell_in_a_failed_cell_starts_where_that_did(barasync: Barasync, busybox: str) -> None:
    (barasync.directory / "sub").mkdir()
    (barasync.directory / "sub/file").touch()
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["false"]
        workspace = "overlay"
        workdir = "/workspace/sub"
        """
    )
    try:
        assert barasync("matrix", "tests", "--keep-failed").code == 1
        (barasync.directory / "barasync.toml").unlink()

        shell = barasync("shell", "--from-failed", "last", NATIVE, "--", "pwd")
    finally:
        barasync("clean", "--kept")

    assert (shell.code, shell.out) == (0, "/workspace/sub\n"), shell.err
