"""Snapshots of containers and of cells, on real podmans."""

from __future__ import annotations

import io
import json
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, Mount, Podman, Reference
from barasync.images.snapshot import is_snapshot, take_snapshot
from barasync.images.tags import parse_tag
from tests.contract.running import created, finish, run, shell
from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, call, read_until
from tests.rig.services import RigService

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_image_stays")]

NATIVE = native_architecture()
NAME = "localhost/snap:1"
WRITES = "mkdir -p /made; echo written >/made/file"


async def file_of(podman: Podman, image: str, path: str = "/made/file") -> bytes:
    return (await run(podman, ContainerSpec(image=image, command=("cat", path)))).stdout


async def config_of(socket_path: str, image: str) -> dict[str, object]:
    """Return the configuration of an image as others get it, with its variant."""

    def read() -> dict[str, object]:
        query = {"format": "oci-archive"}
        data = libpod.request(socket_path, "GET", f"images/{image}/get", query=query)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            files = {member.name.removeprefix("./"): member for member in archive}

            def document(name: str) -> dict[str, object]:
                file = archive.extractfile(files[name])
                assert file is not None
                found = json.load(file)
                assert isinstance(found, dict)
                return found

            def blob(digest: object) -> dict[str, object]:
                return document(f"blobs/sha256/{str(digest).removeprefix('sha256:')}")

            manifests = document("index.json")["manifests"]
            assert isinstance(manifests, list)
            config = blob(manifests[0]["digest"])["config"]
            assert isinstance(config, dict)
            return blob(config["digest"])

    return await to_thread.run_sync(read)


# A container


async def test_a_container_that_has_ended_is_there_as_an_image_with_its_files_and_command(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with created(podman, shell(busybox, f"{WRITES}; cat /made/file")) as container:
        await finish(container)
        made = await call(barasync, "image", "snapshot", container.id[:12], "snap:1")

    image = await podman.images.inspect(NAME)
    assert (made.code, made.out) == (0, f"{image.id}\n"), made.err
    assert made.err.startswith(f"{NAME}: linux/{NATIVE}, ")
    assert (await run(podman, ContainerSpec(image=image.id))).stdout == b"written\n"
    assert {key: value for key, value in image.labels.items() if value} == {
        "barasync.kind": "snapshot",
        "barasync.base": busybox,
        "barasync.name": NAME,
    }


@pytest.mark.parametrize("pause", [(), ("--pause",)], ids=["going on", "paused"])
async def test_a_container_that_runs_goes_on_and_what_is_mounted_is_said_to_be_missing(
    podman: Podman, busybox: str, barasync: Barasync, tmp_path: Path, pause: tuple[str, ...]
) -> None:
    script = f"{WRITES}; echo here >/bound/x; echo ready; until test -e /bound/on; do :; done"
    spec = ContainerSpec(
        image=busybox,
        name="barasync-test-snap",
        command=("sh", "-c", script),
        mounts=(Mount(str(tmp_path), "/bound"),),
    )
    async with created(podman, spec) as container, container.start_attached() as chunks:
        await anext(chunks)
        made = await call(barasync, "image", "snapshot", "barasync-test-snap", NAME, *pause)
        (tmp_path / "on").touch()
        assert [chunk async for chunk in chunks] == []
        assert await container.wait() == 0

    assert made.code == 0, made.err
    assert "note: without what was mounted at /bound\n" in made.err
    listed = await run(podman, ContainerSpec(image=NAME, command=("ls", "/made", "/bound")))
    assert listed.stdout == b"/bound:\n\n/made:\nfile\n"


async def test_neither_secrets_nor_what_podman_puts_in_are_in_a_snapshot(
    podman: Podman, busybox: str, barasync: Barasync, service: RigService
) -> None:
    barasync.configure_script(busybox, 'cat /run/secrets/file; exit "${#TOKEN}"')
    barasync.environ["CI_TOKEN"] = "hunter2-0123456789"  # type: ignore[index] # a dict of ours
    secrets = ("--secret", "TOKEN=env:CI_TOKEN", "--secret", "file=env:CI_TOKEN")

    ended = await call(barasync, "matrix", "tests", *secrets, "--snapshot", NAME)

    assert ended.code == 1
    assert barasync.result()["cells"][0]["exit_code"] == len("hunter2-0123456789")
    image = await podman.images.inspect(NAME)
    assert "hunter2" not in json.dumps(await config_of(service.endpoint.socket_path, image.id))
    found = await run(podman, shell(image.id, "grep -r hunter2 /run /etc /tmp; true"))
    assert found.stdout == b""


async def test_podman_tells_how_much_a_container_has_written(podman: Podman, busybox: str) -> None:
    script = "mkdir -p /made; head -c 1048576 /dev/zero >/made/file"
    async with created(podman, shell(busybox, script)) as container:
        ended = await finish(container)
        written = (await container.inspect(size=True)).size_rw

    assert ended.state.size_rw is None
    assert written is not None
    assert 1 << 20 <= written < 1 << 21


@pytest.mark.parametrize("architecture", ["arm64", "armhf"])
async def test_a_snapshot_of_a_foreign_container_is_for_its_architecture(
    podman: Podman,
    busybox_for: Callable[[str], str],
    service: RigService,
    architecture: str,
) -> None:
    spec = ContainerSpec(image=busybox_for(architecture), command=("true",))
    async with created(podman, spec) as container:
        made = await take_snapshot(podman, container, Reference("localhost", "snap", "1"))

    config = await config_of(service.endpoint.socket_path, made.id)
    wanted = {"arm64": ("arm64", None), "armhf": ("arm", "v7")}[architecture]
    assert (config["architecture"], config.get("variant")) in {wanted, (wanted[0], "v8")}
    assert made.platform.architecture == wanted[0]


async def test_names_that_cannot_be_given_and_containers_that_are_not_there_are_said(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    taken = f"localhost/busybox:{NATIVE}"
    async with created(podman, shell(busybox, "true")) as container:
        snapshot = ("image", "snapshot", container.id)
        bad = await call(barasync, *snapshot, "Snap:1")
        used = await call(barasync, *snapshot, taken)
    missing = await call(barasync, "image", "snapshot", "no-such-box", NAME)

    assert (bad.code, used.code, missing.code) == (2, 2, 2)
    assert "TAG: 'Snap:1': 'Snap' is not a repository" in bad.err
    assert f"{taken} is an image that is no snapshot" in used.err
    assert missing.err.startswith("barasync: there is no container no-such-box")
    assert (await podman.images.inspect(taken)).id == busybox


async def test_a_snapshot_takes_the_place_of_the_one_before_unless_that_is_used(
    podman: Podman, busybox: str
) -> None:
    name = parse_tag("snap:1", "TAG")
    async with created(podman, shell(busybox, "true")) as container:
        first = await take_snapshot(podman, container, name)
        async with created(podman, ContainerSpec(image=first.id, command=("true",))):
            second = await take_snapshot(podman, container, name)
            assert await podman.images.exists(first.id)
        third = await take_snapshot(podman, container, name)

    assert not await podman.images.exists(second.id)
    assert (await podman.images.inspect(NAME)).id == third.id


# Cells


async def test_a_failed_cell_of_a_layer_leaves_its_snapshot_with_the_projects_files(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "-c", "echo written >made; exit 3"]
        """
    )
    ended = await call(barasync, "matrix", "tests", "--snapshot", "snap:1")

    image = await podman.images.inspect(NAME)
    (cell,) = barasync.result()["cells"]
    events = (barasync.record() / "events.jsonl").read_text()
    assert (ended.code, cell["status"]) == (1, "failed")
    said = {key: cell["snapshot"][key] for key in ("name", "image", "bytes", "problem", "kept")}
    assert said == {
        "name": NAME,
        "image": image.id,
        "bytes": image.size,
        "problem": None,
        "kept": False,
    }
    assert image.id in events.splitlines()[-2]
    assert f"snapshot   {NAME} ({NATIVE}, " in ended.out
    assert await file_of(podman, image.id, "/workspace/made") == b"written\n"
    assert await file_of(podman, image.id, "/workspace/barasync.toml") != b""


async def test_cells_that_pass_fail_and_are_killed_each_leave_their_own(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = f'{WRITES}; case "$BARASYNC_CONFIG" in bad) exit 3;; slow) sleep 1000;; esac'
    barasync.configure_script(
        busybox, script, 'timeout = 2\n[matrix]\nconfig = ["good", "bad", "slow"]'
    )

    ended = await call(barasync, "matrix", "tests", "--snapshot", "snap:1")

    names = [f"{NAME}-{NATIVE}-{config}" for config in ("good", "bad", "slow")]
    assert list(barasync.statuses().values()) == ["passed", "failed", "timed_out"], ended.err
    assert [await file_of(podman, name) for name in names] == [b"written\n"] * 3
    assert [cell["phases"]["snapshot"] > 0 for cell in barasync.result()["cells"]] == [True] * 3


async def test_what_was_mounted_in_a_cell_is_said_to_be_missing(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "-c", "touch /cached/x made"]
        workspace = "overlay"
        caches = ["test-snap:/cached"]
        """
    )
    ended = await call(barasync, "matrix", "tests", "--snapshot", NAME)

    assert ended.code == 0, ended.out + ended.err
    note = f"{NATIVE}: its snapshot is without what was mounted at /cached, /workspace"
    assert f"note: {note}" in ended.out
    listed = await run(podman, shell(NAME, "ls -A /cached /workspace"))
    assert listed.stdout == b"/cached:\n\n/workspace:\n"
    assert (await call(barasync, "clean", "--caches")).code == 0


async def test_a_run_of_one_command_says_its_snapshot_and_keeps_the_commands_code(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    words = ("run", busybox, "--snapshot", NAME, "--", "sh", "-c", f"{WRITES}; exit 9")
    ended = await call(barasync, *words)

    image = await podman.images.inspect(NAME)
    assert (ended.code, ended.out) == (9, "")
    assert f"barasync: snapshot {NAME}: {image.id}" in ended.err
    assert await file_of(podman, NAME) == b"written\n"


async def test_only_the_last_attempt_of_a_cell_leaves_a_snapshot(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = "mkdir -p /made; echo $BARASYNC_RUN >/made/file; exit 3"
    barasync.configure_script(busybox, script)
    retried = ("--retries", "1", "--retry-on", "failed")

    await call(barasync, "matrix", "tests", "--snapshot", NAME, *retried)

    (cell,) = barasync.result()["cells"]
    assert cell["attempt"] == 2
    assert cell["snapshot"]["image"] == (await podman.images.inspect(NAME)).id
    assert len([image for image in await podman.images.list() if is_snapshot(image)]) == 1


async def test_an_interrupted_cell_leaves_no_snapshot_and_says_so(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    barasync.configure_script(busybox, "echo ready; sleep 1000")

    def interrupted() -> tuple[int, str]:
        with barasync.running("matrix", "tests", "--snapshot", NAME) as process:
            read_until(process, "| ready", 1)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=40)
        return process.returncode, out.decode()

    code, out = await to_thread.run_sync(interrupted)

    assert code == 130
    assert f"note: {NATIVE}: no snapshot: the cell was cancelled" in out
    assert not await podman.images.exists(NAME)


async def test_a_name_that_cannot_be_given_is_refused_before_anything_runs(
    busybox: str, barasync: Barasync
) -> None:
    barasync.configure_script(busybox, "true")

    bad = await call(barasync, "matrix", "tests", "--snapshot", "Snap")
    taken = await call(barasync, "matrix", "tests", "--snapshot", f"busybox:{NATIVE}")

    assert (bad.code, taken.code) == (2, 2)
    assert "--snapshot: 'Snap': 'Snap' is not a repository" in bad.err
    assert f"localhost/busybox:{NATIVE} is an image that is no snapshot" in taken.err
    assert not (barasync.directory / ".barasync").exists()


async def test_a_snapshot_outlives_clean_and_so_does_what_is_made_of_it(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    barasync.configure(f'[defaults]\nimage = "{busybox}"\ncommand = ["sh", "-c", "{WRITES}"]\n')
    await call(barasync, "matrix", "tests", "--snapshot", NAME)
    async with created(podman, ContainerSpec(image=NAME, command=("true",))) as container:
        cleaned = await call(barasync, "clean", "--all")

        assert (await container.inspect()).state.status == "created"
    assert cleaned.code == 0, cleaned.out
    assert "layer localhost/barasync/workspace:" in cleaned.out
    assert container.id[:12] not in cleaned.out
    assert await file_of(podman, NAME) == b"written\n"
    (cell,) = barasync.result()["cells"]
    assert cell["snapshot"]["image"] == (await podman.images.inspect(NAME)).id
