"""The workspace layer on real podmans."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, ImageInspect, Podman
from barasync.engine.identity import Identity
from barasync.engine.reaper import Kind, leftovers
from barasync.errors import ConfigError, ImageError
from barasync.matrix.platforms import Platform
from barasync.workspace.layer import ensure_layer
from barasync.workspace.scan import scan
from barasync.workspace.tree import SCANS, Tree
from tests.contract.running import created, finish, run, shell
from tests.rig.command import Barasync, Ended
from tests.rig.services import RigService
from tests.unit.projects import MTIME, write

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("layers")]

BASE = "localhost/barasync-test-base"
RUN = {"barasync.run": "layer-test", "barasync.pid": "1"}
MAKER = {"barasync.maker.run": "layer-test", "barasync.maker.host": "a-1.b_2"}


@pytest.fixture
async def layers(podman: Podman) -> AsyncIterator[None]:
    """Nothing that these tests make stays in the storage."""
    yield
    with anyio.move_on_after(50, shield=True):
        for labels in ({"barasync.kind": "workspace"}, {"test.base": None}):
            for image in await podman.images.list(labels=labels):
                await podman.images.remove(image.id, force=True, missing_ok=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(tmp_path, {"run.sh": "#!/bin/sh\necho ran\n", "src/deep/file": "content", "empty": ""})
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "src").chmod(0o750)
    (tmp_path / "link").symlink_to("src/deep/file")
    return tmp_path


@pytest.fixture
def tree(project: Path) -> Tree:
    return scan(project)


async def scanned(project: Path) -> Tree:
    return await to_thread.run_sync(scan, project)


async def make(podman: Podman, image: str, tree: Tree, arch: str = "amd64") -> str:
    return await ensure_layer(
        podman, image_id=image, platform=Platform(arch), tree=tree, labels=RUN, maker=MAKER
    )


async def derived(podman: Podman, image: str, script: str, *changes: str) -> str:
    """Return the ID of an image in which a script has run."""
    async with created(podman, shell(image, script)) as container:
        done = await finish(container)
        assert done.state.state.exit_code == 0, done.stderr
        return await container.commit(
            repository=BASE, tag="derived", changes=("LABEL test.base=1", *changes)
        )


async def imported(podman: Podman, architecture: str) -> str:
    """Return the ID of an image of an empty root file system, for any architecture."""

    async def nothing() -> AsyncIterator[bytes]:
        yield bytes(1024)

    return await podman.images.import_(
        nothing(),
        reference=f"{BASE}:{architecture}",
        architecture=architecture,
        changes=("LABEL test.base=1",),
    )


async def output(podman: Podman, image: str, script: str) -> str:
    done = await run(podman, shell(image, script))
    assert done.state.state.exit_code == 0, done.stderr
    return done.stdout.decode()


def settings(image: ImageInspect) -> Mapping[str, object]:
    config = image.config
    return {
        "user": config.user,
        "command": config.cmd,
        "entrypoint": config.entrypoint,
        "architecture": image.architecture,
    }


async def test_a_container_starts_in_the_projects_files(
    podman: Podman, busybox: str, tree: Tree
) -> None:
    layer = await make(podman, busybox, tree)

    text = await output(
        podman, layer, "pwd; ./run.sh; cat link; echo; stat -c '%n %a %Y %u:%g' run.sh src src/deep"
    )

    assert text.splitlines() == [
        "/workspace",
        "ran",
        "content",
        f"run.sh 755 {MTIME} 0:0",
        f"src 750 {MTIME} 0:0",
        f"src/deep 755 {MTIME} 0:0",
    ]


async def test_a_layer_is_made_once(
    podman: Podman, busybox: str, tree: Tree, project: Path
) -> None:
    first = await make(podman, busybox, tree)
    again = await make(podman, busybox, await scanned(project))
    write(project, {"new": ""})
    other = await make(podman, busybox, await scanned(project))

    assert first == again != other


async def test_an_image_that_somebody_makes_of_a_layer_is_not_taken_for_it(
    podman: Podman, busybox: str, tree: Tree
) -> None:
    layer = await make(podman, busybox, tree)
    spec = shell(layer, "echo changed >/workspace/a")
    async with created(podman, spec) as container:
        await finish(container)
        mine = await container.commit(repository="localhost/barasync-test/mine", tag="1")

    assert await make(podman, busybox, tree) == layer
    assert mine != layer
    async with created(podman, ContainerSpec(image=mine, command=("true",))):
        found = await leftovers(podman, await to_thread.run_sync(Identity.current), None)

    assert [(each.kind, each.key) for each in found] == [(Kind.LAYER, layer)]


async def test_cells_do_not_see_each_others_files(podman: Podman, busybox: str, tree: Tree) -> None:
    layer = await make(podman, busybox, tree)
    await output(podman, layer, "echo mine > src/deep/file; rm run.sh")

    assert await output(podman, layer, "cat src/deep/file; test -x run.sh") == "content"


async def test_the_image_below_keeps_its_settings(podman: Podman, busybox: str, tree: Tree) -> None:
    base = await derived(
        podman, busybox, "true", "USER nobody", "ENV A=b", 'CMD ["-la"]', 'ENTRYPOINT ["/bin/ls"]'
    )

    layer = await podman.images.inspect(await make(podman, base, tree))
    below = await podman.images.inspect(base)

    assert settings(layer) == settings(below)
    assert "A=b" in layer.config.env
    assert layer.config.working_dir == "/workspace"


async def test_the_layer_tells_its_maker_and_is_not_the_runs(
    podman: Podman, busybox: str, tree: Tree
) -> None:
    layer = await podman.images.inspect(await make(podman, busybox, tree))

    assert layer.labels["barasync.kind"] == "workspace"
    assert len(layer.labels["barasync.key"]) == 64
    assert {layer.labels.get(name, "") for name in RUN} == {""}
    assert {name: layer.labels[name] for name in MAKER} == MAKER
    assert layer.repo_tags == [f"localhost/barasync/workspace:{layer.labels['barasync.key'][:16]}"]


@pytest.mark.parametrize("architecture", ["arm64", "riscv64", "s390x"])
async def test_a_foreign_image_without_any_file_or_command_gets_a_layer(
    podman: Podman, tree: Tree, architecture: str
) -> None:
    base = await imported(podman, architecture)

    layer = await podman.images.inspect(await make(podman, base, tree, architecture))
    below = await podman.images.inspect(base)

    assert layer.architecture == architecture
    assert settings(layer) == settings(below)


@pytest.mark.parametrize(
    ("user", "owner"), [("nobody", "65534:65534"), ("1234:2345", "1234:2345"), ("1234", "1234:0")]
)
async def test_upload_changes_owner__the_images_user_owns_the_files_and_can_write(
    podman: Podman, busybox: str, tree: Tree, user: str, owner: str
) -> None:
    base = await derived(podman, busybox, "true", f"USER {user}")
    layer = await make(podman, base, tree)

    text = await output(
        podman, layer, "echo built > src/out; echo x > top; stat -c %u:%g . src run.sh src/out"
    )

    assert text.splitlines() == [owner] * 4


@pytest.mark.parametrize(
    "script",
    [
        "rm -r /workspace",
        "rm -r /workspace; mkdir /data; ln -s data /workspace",
        "rm -r /workspace; mkdir /data; ln -s /data /workspace",
        "rm -r /workspace; ln -s /nowhere /workspace",
        "rm -r /workspace; touch /workspace",
    ],
    ids=["nothing", "relative link", "absolute link", "dangling link", "file"],
)
async def test_whatever_is_at_workspace_becomes_a_directory_with_the_files(
    podman: Podman, busybox: str, tree: Tree, script: str
) -> None:
    layer = await make(podman, await derived(podman, busybox, script), tree)

    assert await output(podman, layer, "cd /workspace && ./run.sh && pwd -P") == "ran\n/workspace\n"


async def test_a_directory_at_workspace_keeps_what_it_holds(
    podman: Podman, busybox: str, tree: Tree
) -> None:
    base = await derived(
        podman, busybox, "echo kept > /workspace/other; echo old > /workspace/run.sh"
    )

    layer = await make(podman, base, tree)

    assert await output(podman, layer, "cat other; ./run.sh") == "kept\nran\n"


@pytest.mark.parametrize("volume", ["/workspace", "/workspace/src"])
async def test_files_below_a_volume_of_the_image_are_in_the_layer_and_in_its_cells(
    podman: Podman, busybox: str, tree: Tree, volume: str
) -> None:
    base = await derived(podman, busybox, "echo kept > /workspace/other", f"VOLUME {volume}")
    before = await podman.volumes.list()

    layer = await make(podman, base, tree)
    without_volumes = replace(shell(layer, "./run.sh; cat link other"), no_volumes=True)
    in_the_layer = await run(podman, without_volumes)
    in_a_cell = await run(podman, shell(layer, "./run.sh; cat link other; echo x > src/new"))

    assert (in_the_layer.stdout, in_the_layer.stderr) == (b"ran\ncontentkept\n", b"")
    assert (in_a_cell.stdout, in_a_cell.stderr) == (b"ran\ncontentkept\n", b"")
    assert [mount.destination for mount in in_a_cell.state.mounts] == [volume]
    assert await podman.volumes.list() == before


async def test_names_of_any_bytes_arrive(podman: Podman, busybox: str, project: Path) -> None:
    names = [b"caf\xe9", b"line\nbreak", b"x" * 255, "größe".encode()]
    write(project / "names", {os.fsdecode(name): "" for name in names})

    layer = await make(podman, busybox, await scanned(project))
    done = await run(podman, shell(layer, "find names -type f -print0"))

    assert {path[6:] for path in done.stdout.split(b"\0") if path} == set(names)


async def test_making_one_layer_many_times_at_once_gives_layers_that_work(
    podman: Podman, busybox: str, tree: Tree
) -> None:
    made: list[str] = []

    async def one() -> None:
        made.append(await make(podman, busybox, tree))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(one)

    assert len(made) == 8
    for layer in set(made):
        assert await output(podman, layer, "./run.sh") == "ran\n"
    assert await make(podman, busybox, tree) == await make(podman, busybox, tree)


async def test_an_image_that_is_not_there_is_an_error_that_names_it(
    podman: Podman, tree: Tree
) -> None:
    with pytest.raises(ImageError, match=r"on image 0{12} \(linux/amd64\) could not be made"):
        await make(podman, "0" * 64, tree)


async def test_an_image_whose_user_does_not_exist_is_an_error(
    podman: Podman, busybox: str, tree: Tree
) -> None:
    base = await derived(podman, busybox, "true", "USER nosuchuser")

    with pytest.raises(ImageError, match=r"sending the files: .*nosuchuser"):
        await make(podman, base, tree)


async def test_a_file_that_changed_since_the_scan_is_our_error(
    podman: Podman, busybox: str, tree: Tree, project: Path
) -> None:
    (project / "run.sh").write_text("another")

    with pytest.raises(ConfigError, match=r"run\.sh changed while it was read"):
        await make(podman, busybox, tree)


async def test_a_layer_that_is_cancelled_while_it_is_sent_leaves_no_container(
    podman: Podman, busybox: str, project: Path
) -> None:
    with (project / "large").open("wb") as file:
        file.truncate(1 << 28)
    tree = await scanned(project)

    async with anyio.create_task_group() as group:
        group.start_soon(make, podman, busybox, tree)
        while not await podman.containers.list(labels=RUN, all=True):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()

    assert await podman.containers.list(labels=RUN, all=True) == []


# Changes the project when its files are about to be sent, the nth time for n in a range, and is
# barasync otherwise.
CHANGES = """
import itertools, runpy, sys
from barasync.workspace import layer
send, times, chosen = layer.stream, itertools.count(), range(int(sys.argv[1]), int(sys.argv[2]))
def changed(tree):
    time = next(times)
    if time in chosen:
        (tree.root / "state").write_text("changed " * (time + 1))
    return send(tree)
layer.stream = changed
sys.argv = ["barasync", *sys.argv[6:]]
runpy.run_module("barasync", run_name="__main__")
"""


def changing(service: RigService, directory: Path, image: str, when: range) -> Barasync:
    """Return the command line in a project that changes between the scan and the sending."""
    write(directory, {"state": "as it was"})
    within = (sys.executable, "-c", CHANGES, str(when.start), str(when.stop))
    environ = {**os.environ, "NO_COLOR": "1"}
    barasync = Barasync(directory, service.endpoint.url, environ, within=within)
    barasync.configure(f'[defaults]\nimage = "{image}"\ncommand = ["cat", "state"]')
    return barasync


@pytest.mark.parametrize("times", range(SCANS))
async def test_a_project_that_changes_before_it_is_sent_is_read_again(
    service: RigService, busybox: str, tmp_path: Path, times: int
) -> None:
    barasync = changing(service, tmp_path / "project", busybox, range(times))

    ended = await to_thread.run_sync(barasync, "matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    (cell,) = barasync.statuses()
    assert barasync.log(cell) == ("changed " * times or "as it was")


async def test_a_project_that_goes_on_changing_is_refused(
    podman: Podman, service: RigService, busybox: str, tmp_path: Path
) -> None:
    barasync = changing(service, tmp_path / "project", busybox, range(1000))

    ended = await to_thread.run_sync(barasync, "matrix", "tests")

    assert ended.code == 2, ended.out + ended.err
    assert f"{barasync.directory}/state changed while it was read" in ended.err
    assert "Run again when nothing writes to the project." in ended.out
    assert list(barasync.statuses().values()) == ["infrastructure_error"]
    assert await podman.images.list(labels={"barasync.kind": "workspace"}) == []


async def test_cells_of_one_run_never_have_two_states_of_a_project(
    podman: Podman, service: RigService, busybox: str, tmp_path: Path
) -> None:
    """It changes when a layer has been made of it, and before the second is."""
    barasync = changing(service, tmp_path / "project", busybox, range(1, 1000))
    text = (barasync.directory / "barasync.toml").read_text()
    other = await derived(podman, busybox, "true")
    barasync.configure(f'{text}\n[matrix]\nconfig = ["a", "b"]\n[config.b]\nimage = "{other}"')

    ended = await to_thread.run_sync(barasync, "matrix", "tests", "--jobs", "1")

    assert ended.code == 2, ended.out + ended.err
    assert "and other cells of this run have what it was before" in ended.err
    (cell, *_), statuses = barasync.statuses(), barasync.statuses().values()
    assert list(statuses) == ["passed", "infrastructure_error"]
    assert barasync.log(cell) == "as it was"


async def test_two_runs_at_once_make_one_layer(
    podman: Podman, service: RigService, busybox: str, tmp_path: Path
) -> None:
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    runs = [
        Barasync(tmp_path / name, service.endpoint.url, environ) for name in ("first", "second")
    ]
    for barasync in runs:
        write(barasync.directory, {"state": "the same"})
        (barasync.directory / "large").write_bytes(bytes(64 << 20))
        barasync.configure(f'[defaults]\nimage = "{busybox}"\ncommand = ["cat", "state"]')
        os.utime(barasync.directory / "large", (MTIME, MTIME))
        os.utime(barasync.directory / "barasync.toml", (MTIME, MTIME))

    ended: list[Ended] = []

    async def run_matrix(barasync: Barasync) -> None:
        ended.append(await to_thread.run_sync(barasync, "matrix", "tests"))

    async with anyio.create_task_group() as group:
        for barasync in runs:
            group.start_soon(run_matrix, barasync)

    assert [each.code for each in ended] == [0, 0], ended
    (layer,) = await podman.images.list(labels={"barasync.kind": "workspace"})
    assert [image_of_the_cell(barasync) for barasync in runs] == [layer.id, layer.id]


def image_of_the_cell(barasync: Barasync) -> str:
    """Return the ID of the image that the only cell of the newest run ran in."""
    events = map(json.loads, (barasync.record() / "events.jsonl").read_text().splitlines())
    (started,) = (event for event in events if event["event"] == "container.started")
    return str(started["image"])
