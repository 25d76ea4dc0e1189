"""The ways in which a project's files reach cells that run at the same time, on real podmans."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.aiopodman import Mount, NotFound, Podman, PodmanError
from barasync.config.schema import WorkspaceMode
from barasync.workspace.live import mount_hint, with_workspace
from tests.contract.running import created, ended, run, shell
from tests.rig.accounts import ensure_rootless_user
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import RigService
from tests.unit.projects import repository, write

NATIVE = native_architecture()
CONFIGS = ["a", "b", "c", "d"]
CELLS = [f"{NATIVE}-{config}" for config in CONFIGS]

# Each cell writes the same file names as the others, and reads them when all have written.
SAME_NAMES = """
meet() {
    : >"/meet/$1.$BARASYNC_CONFIG"
    while [ "$(ls /meet | grep -c "^$1")" -lt 4 ]; do :; done
}
set -e
meet begun
echo "$BARASYNC_CONFIG" >written
mkdir -p out/deep
echo "$BARASYNC_CONFIG" >out/deep/file
if [ -e rule ]; then echo "$BARASYNC_CONFIG" >rule; fi
meet written
cat written out/deep/file
if [ -e rule ]; then cat rule; fi
"""


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    """The command line in a git repository whose four cells can meet in a volume."""
    project = repository(
        tmp_path / "project", {"tracked": "tracked\n", ".gitignore": "*.o\nbuild\n"}
    )
    write(project, {"untracked": "untracked\n", "build/ignored.o": "ignored\n"})
    (tmp_path / "meet").mkdir()
    command = Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    command.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "-c", "{{args}}"]
        timeout = 60
        volumes = ["{tmp_path}/meet:/meet"]
        [matrix]
        config = ["a", "b", "c", "d"]
        """
    )
    return command


def script(barasync: Barasync, mode: str, text: str, *options: str) -> None:
    """Run a script in the four cells at once."""
    words = ["sh", "-c", text]
    config = (barasync.directory / "barasync.toml").read_text()
    barasync.configure(config.replace('["sh", "-c", "{args}"]', json.dumps(words)))
    ended = barasync("matrix", "tests", "--jobs", "4", "--workspace", mode, *options)
    assert ended.code == 0, ended.out + ended.err
    barasync.configure(config)


def snapshot(directory: Path) -> dict[str, bytes]:
    """Return the files of a project, without what barasync keeps there."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not {".barasync", ".git"} & set(path.parts)
    }


@pytest.mark.parametrize("mode", ["layer", "overlay", "none"])
def test_cells_that_write_the_same_names_do_not_see_each_other(
    barasync: Barasync, mode: str
) -> None:
    write(barasync.directory, {"rule": "rule\n"})
    before = snapshot(barasync.directory)

    script(barasync, mode, SAME_NAMES)

    files = 3 if mode != "none" else 2
    for config, cell in zip(CONFIGS, CELLS, strict=True):
        assert barasync.log(cell) == f"{config}\n" * files
    assert snapshot(barasync.directory) == before


def test_cells_that_bind_the_project_share_it_with_each_other_and_the_host(
    barasync: Barasync,
) -> None:
    write(barasync.directory, {"rule": "rule\n"})

    script(barasync, "bind", SAME_NAMES)

    seen = {barasync.log(cell) for cell in CELLS}
    assert len(seen) == 1
    after = snapshot(barasync.directory)
    shared = after["written"] + after["out/deep/file"] + after["rule"]
    assert seen == {shared.decode()}
    assert set(shared.decode().split()) <= set(CONFIGS)


@pytest.mark.parametrize(
    ("mode", "seen"),
    [
        ("layer", ".gitignore barasync.toml tracked untracked"),
        ("overlay", ".git .gitignore barasync.toml build build/ignored.o tracked untracked"),
        ("bind", ".git .gitignore barasync.toml build build/ignored.o tracked untracked"),
        ("none", ""),
    ],
)
def test_what_a_cell_sees_of_the_project(barasync: Barasync, mode: str, seen: str) -> None:
    listing = (
        "cd /workspace; ls -dA .[!.]* * */* 2>/dev/null | grep -v ^.git/ | grep -v ^.barasync$"
    )

    script(barasync, mode, f"echo $({listing})")

    assert {barasync.log(cell) for cell in CELLS} == {f"{seen}\n"}


@pytest.mark.parametrize("mode", ["overlay", "bind"])
def test_a_cell_can_neither_see_nor_touch_the_record_of_runs(barasync: Barasync, mode: str) -> None:
    attack = "ls -A .barasync; rm -rf .barasync; mv .barasync x; touch .barasync/x; ls -A .barasync"

    script(barasync, mode, f"{attack}; echo ended")

    for cell in CELLS:
        assert barasync.log(cell, "stdout.log") == "ended\n"
    assert barasync.record().is_relative_to(barasync.directory / ".barasync")


@pytest.mark.parametrize("name", ["a,b", "a\\b"])
def test_an_overlay_of_a_path_that_podman_cannot_write_is_refused(
    barasync: Barasync, name: str
) -> None:
    project = barasync.directory.rename(barasync.directory.with_name(name))

    ended = replace(barasync, directory=project)("matrix", "tests", "--workspace", "overlay")

    assert ended.code == 2
    assert "no overlay can be mounted of a path with" in ended.err


@pytest.mark.parametrize("name", ["a:b", 'a"b', "a b", "größe", "a=b%s"])
def test_an_overlay_of_a_path_with_other_odd_characters_works(
    barasync: Barasync, name: str
) -> None:
    project = barasync.directory.rename(barasync.directory.with_name(name))

    renamed = replace(barasync, directory=project)
    script(renamed, "overlay", "cat tracked")

    assert renamed.log(CELLS[0]) == "tracked\n"


@pytest.mark.parametrize("mode", ["overlay", "bind"])
@pytest.mark.parametrize("place", ["hidden", "another"])
def test_a_directory_that_the_service_does_not_see_is_refused(
    barasync: Barasync, mode: str, place: str
) -> None:
    """The command runs where another file system lies over the project or over its parent."""
    project = barasync.directory
    upper = project if place == "another" else project.parent
    copy = f"mkdir -p '{project}'; cp /proc/self/fd/3 '{project}/barasync.toml'"
    cover = f"exec 3<'{project}/barasync.toml'; mount -t tmpfs none '{upper}'; {copy}"
    enter = ("unshare", "--mount", "sh", "-ec", f"{cover}; cd '{project}'; exec \"$@\"", "sh")

    ended = replace(barasync, within=enter)("matrix", "tests", "--workspace", mode)

    assert ended.code == 2
    assert f"workspace '{mode}' cannot be had" in ended.err
    assert "sees another directory at" in ended.err
    assert "--workspace layer" in ended.err


@pytest.mark.anyio
async def test_an_overlay_that_the_kernel_refuses_is_an_error_with_a_way_out(
    podman: Podman, busybox: str
) -> None:
    """The kernel makes no overlay of a file system that compares names in a way of its own."""
    spec = replace(shell(busybox, "true"), overlays=(Mount("/proc/sys/net", "/workspace"),))

    with pytest.raises(PodmanError) as caught:
        await run(podman, spec)

    assert "--workspace layer" in (mount_hint(str(caught.value)) or "")


@pytest.mark.anyio
async def test_archives_of_an_overlay_are_to_be_had_while_the_container_runs_only(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    write(tmp_path, {"a": "a"})
    spec = replace(
        shell(busybox, "echo b >/workspace/b; echo ready; read line"),
        overlays=(Mount(str(tmp_path), "/workspace"),),
        stdin=True,
    )
    async with created(podman, spec) as container:
        async with container.start_attached() as chunks:
            assert (await anext(chunks)).data == b"ready\n"
            async with container.archive("/workspace/b") as data:
                assert b"b\n" in b"".join([piece async for piece in data])
            await container.kill("SIGKILL")
            async for _ in chunks:
                pass
        await ended(container)
        with pytest.raises(NotFound):
            async with container.archive("/workspace/b"):
                pass


def test_artifacts_of_an_overlay_come_back_from_cells_at_the_same_time(barasync: Barasync) -> None:
    paths = ("--artifact", "written", "--artifact", "out/**/f*", "--artifact", "/tmp/log")
    script(barasync, "overlay", f"{SAME_NAMES}\nrm tracked; echo log >/tmp/log", *paths)

    for config, cell in zip(CONFIGS, CELLS, strict=True):
        artifacts = barasync.record() / "artifacts" / cell
        assert (artifacts / "written").read_text() == f"{config}\n"
        assert (artifacts / "out/deep/file").read_text() == f"{config}\n"
        assert (artifacts / "log").read_text() == "log\n"
    assert (barasync.directory / "tracked").read_text() == "tracked\n"
    assert not (barasync.directory / "written").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("mode", [WorkspaceMode.OVERLAY, WorkspaceMode.BIND])
async def test_without_root_the_directory_is_mounted_as_well(
    rootless_podman: Podman, rootless_busybox: str, mode: WorkspaceMode
) -> None:
    account = ensure_rootless_user()
    with tempfile.TemporaryDirectory() as name:
        project = write(Path(name), {"a": "a", ".barasync/record": "x"})
        for path in (project, project / "a"):
            shutil.chown(path, account.pw_uid, account.pw_gid)
        script = "cat a; ls -A .barasync; echo b >a; echo c >new; cat a new"
        bare = shell(rootless_busybox, script)
        spec = await to_thread.run_sync(with_workspace, bare, mode, project)

        done = await run(rootless_podman, spec)

        assert (done.stdout, done.stderr) == (b"ab\nc\n", b"")
        assert (project / "a").read_text() == ("a" if mode is WorkspaceMode.OVERLAY else "b\n")
