"""What `--keep-failed` leaves of failed cells, and how it goes, on real podmans."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, Podman
from barasync.config.schema import WorkspaceMode
from barasync.engine.identity import Identity
from barasync.engine.image_uses import UseFiles
from barasync.engine.pruning import AUTOMATIC, FAILED_SECONDS, prune
from barasync.errors import ConfigError
from barasync.images.inventory import own_images
from barasync.images.kept import NeededImage, kept_name, require_kept
from barasync.matrix.outcome import Status
from barasync.report.files import runs_directory
from barasync.report.kept import LAST, KeptCell, find_kept
from tests.contract.running import created, run, shell
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, call, read_until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("no_image_stays"),
    pytest.mark.timeout(180),
]

NATIVE = native_architecture()
WRITES = "mkdir -p /made; echo $BARASYNC_RUN >/made/file"
LONGEST = "Debug_1.0-" + "x" * 90


async def kept(podman: Podman) -> dict[str, str]:
    """Return the IDs of the images of failed cells, by their names."""
    found = [image for image in await own_images(podman) if image.kind == "kept"]
    return {name: image.id for image in found for name in image.names}


async def looked_up(barasync: Barasync, cell: str, of: str = LAST) -> KeptCell:
    return await to_thread.run_sync(find_kept, runs_directory(barasync.directory), of, cell)


async def file_of(podman: Podman, image: str, path: str = "/made/file") -> str:
    return (await run(podman, ContainerSpec(image=image, command=("cat", path)))).stdout.decode()


async def test_cells_that_fail_are_kept_as_they_were_and_those_that_pass_are_not(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = f'{WRITES}; case "$BARASYNC_CONFIG" in bad) exit 3;; slow) sleep 1000;; esac'
    barasync.configure_script(
        busybox, script, 'timeout = 2\nmemory = "64m"\n[matrix]\nconfig = ["good", "bad", "slow"]'
    )

    ended = await call(barasync, "matrix", "tests", "--keep-failed")

    run_id = barasync.record().name
    found = await kept(podman)
    names = [str(kept_name(run_id, f"{NATIVE}-{config}")) for config in ("bad", "slow")]
    assert ended.code == 1
    assert list(barasync.statuses().values()) == ["passed", "failed", "timed_out"], ended.err
    assert set(found) == set(names)
    rows = (await call(barasync, "image", "list")).out.splitlines()
    listed = [row.split()[:3] for row in rows]
    for name, config in zip(names, ("bad", "slow"), strict=True):
        assert await file_of(podman, name) == f"{run_id}\n"
        assert f"  kept: barasync shell --from-failed {run_id} {NATIVE}-{config}\n" in ended.out
        assert [name, f"linux/{NATIVE}", "kept"] in listed
    good, bad, _ = barasync.result()["cells"]
    assert good["snapshot"] is None
    assert bad["snapshot"]["image"] == found[names[0]]
    cell = await looked_up(barasync, f"{NATIVE}-bad", run_id[:13])
    assert (cell.image, cell.status, cell.asked) == (found[names[0]], Status.FAILED, busybox)
    assert (cell.settings.memory, cell.settings.network) == (64 << 20, "none")
    await require_kept(podman, NeededImage(id=cell.image, what="cell"))


async def test_a_cell_that_ran_out_of_memory_is_kept(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = f"{WRITES}; exec tail -c 100000000 /dev/zero"
    barasync.configure_script(busybox, script, 'memory = "16m"')

    await call(barasync, "matrix", "tests", "--keep-failed")

    assert barasync.statuses() == {NATIVE: "out_of_memory"}
    assert await file_of(podman, (await looked_up(barasync, NATIVE)).image) != ""


async def test_a_workspace_that_was_a_layer_is_in_what_is_kept_and_one_that_was_mounted_is_not(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    barasync.configure(
        f'[defaults]\nimage = "{busybox}"\ncommand = ["sh", "-c", "echo x >made; exit 3"]\n'
    )
    await call(barasync, "matrix", "tests", "--keep-failed")
    layer = await looked_up(barasync, NATIVE)
    ended = await call(barasync, "matrix", "tests", "--keep-failed", "--workspace", "overlay")
    overlay = await looked_up(barasync, NATIVE)

    files = await run(podman, shell(layer.image, "pwd; ls"))
    assert files.stdout == b"/workspace\nbarasync.toml\nmade\n"
    assert layer.settings.table().workspace is WorkspaceMode.NONE
    assert (await run(podman, shell(overlay.image, "ls -A /workspace"))).stdout == b""
    assert overlay.settings.workspace is WorkspaceMode.OVERLAY
    said = f"note: {NATIVE}: the image that is kept of it is without what was mounted at /workspace"
    assert said in ended.out


async def test_cells_with_the_longest_and_oddest_names_are_kept_under_names_of_their_own(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    configs = ["A", "a", "a.b", "a-b_c", "0", f"{LONGEST[:-1]}a", f"{LONGEST[:-1]}b"]
    written = ", ".join(f'"{config}"' for config in configs)
    barasync.configure_script(
        busybox,
        "mkdir -p /made; echo $BARASYNC_CELL >/made/file; exit 3",
        f"[matrix]\nconfig = [{written}]",
    )

    await call(barasync, "matrix", "tests", "--keep-failed")

    found = await kept(podman)
    assert len(found) == len(configs)
    for config in configs:
        cell = await looked_up(barasync, f"{NATIVE}-{config}")
        assert found[cell.name] == cell.image
        assert await file_of(podman, cell.image) == f"{NATIVE}-{config}\n"


async def test_a_run_of_one_command_keeps_it_with_the_commands_code(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    words = ("run", "--keep-failed", busybox, "--", "sh", "-c")
    ended = await call(barasync, *words, f"{WRITES}; exit 9")
    run_id = barasync.record().name
    passed = await call(barasync, *words, WRITES)

    assert (ended.code, ended.out) == (9, "")
    assert ended.said == f"barasync: kept: barasync shell --from-failed {run_id} {NATIVE}\n"
    assert (passed.code, passed.out, passed.said) == (0, "", "")
    assert list(await kept(podman)) == [str(kept_name(run_id, NATIVE))]
    assert (await looked_up(barasync, NATIVE)).run == run_id


async def test_two_runs_keep_theirs_beside_each_other_and_only_the_last_attempt(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    barasync.configure_script(busybox, f"{WRITES}; exit 3")
    retried = ("--retries", "1", "--retry-on", "failed")

    runs = []
    for _ in range(2):
        await call(barasync, "matrix", "tests", "--keep-failed", *retried)
        runs.append(barasync.record().name)
        assert barasync.result()["cells"][0]["attempt"] == 2

    found = await kept(podman)
    assert set(found) == {str(kept_name(each, NATIVE)) for each in runs}
    for each in runs:
        assert await file_of(podman, str(kept_name(each, NATIVE))) == f"{each}\n"
        assert (await looked_up(barasync, NATIVE, each)).run == each


async def test_the_first_failure_is_kept_where_it_stops_the_run(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = f'{WRITES}; case "$BARASYNC_CONFIG" in bad) exit 3;; *) sleep 1000;; esac'
    barasync.configure_script(busybox, script, '[matrix]\nconfig = ["bad", "other"]')

    ended = await call(barasync, "matrix", "tests", "--keep-failed", "--fail-fast", "-j", "2")

    assert ended.code == 1
    assert list(barasync.statuses().values()) == ["failed", "cancelled"]
    assert len(await kept(podman)) == 1
    assert barasync.result()["cells"][1]["snapshot"] is None
    with pytest.raises(ConfigError, match=f"cell {NATIVE}-other of run .* was cancelled"):
        await looked_up(barasync, f"{NATIVE}-other")


async def test_an_interrupted_cell_is_not_kept(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    barasync.configure_script(busybox, "echo ready; sleep 1000")

    def interrupted() -> int:
        with barasync.running("matrix", "tests", "--keep-failed") as process:
            read_until(process, "| ready", 1)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=40)
        return process.returncode

    assert await to_thread.run_sync(interrupted) == 130
    assert await kept(podman) == {}
    assert barasync.result()["cells"][0]["snapshot"] is None


async def test_secrets_are_neither_in_what_is_kept_nor_in_the_record(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    secret = "hunter2-0123456789"
    barasync.configure_script(busybox, 'cat /run/secrets/file; exit "${#TOKEN}"')
    barasync.environ["CI_TOKEN"] = secret  # type: ignore[index] # a dict of ours
    secrets = ("--secret", "TOKEN=env:CI_TOKEN", "--secret", "file=env:CI_TOKEN")

    await call(barasync, "matrix", "tests", *secrets, "--keep-failed")

    cell = await looked_up(barasync, NATIVE)
    assert barasync.result()["cells"][0]["exit_code"] == len(secret)
    assert cell.settings.secrets == ("TOKEN=env:CI_TOKEN", "file=env:CI_TOKEN")
    seen = await run(
        podman, shell(cell.image, "env; grep -r hunter2 /run /etc /tmp /proc/1/environ")
    )
    assert b"hunter2" not in seen.stdout
    image = await podman.images.inspect(cell.image)
    assert "hunter2" not in json.dumps([image.config.env, list(image.labels.values())])
    for file in barasync.record().rglob("*.json*"):
        assert secret not in file.read_text(), file


async def test_clean_removes_what_is_kept_when_told_so_and_leaves_what_is_used(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    barasync.configure_script(
        busybox, f"{WRITES}; exit 3", '[matrix]\nconfig = ["one", "two", "named"]'
    )
    await call(barasync, "matrix", "tests", "--keep-failed")
    one, two, named = [
        await looked_up(barasync, f"{NATIVE}-{config}") for config in ("one", "two", "named")
    ]
    await podman.images.tag(named.image, "localhost/mine", "1")

    without = await call(barasync, "clean")
    tried = await call(barasync, "clean", "--kept", "--dry-run")
    assert len(await kept(podman)) == 4, "three, and the name that somebody gave to one"
    async with created(podman, ContainerSpec(image=one.image, command=("true",))):
        used = await call(barasync, "clean", "--kept")
    assert one.name in await kept(podman)
    last = await call(barasync, "clean", "--kept")
    none = await call(barasync, "clean", "--kept")

    assert (without.code, tried.code, used.code, last.code, none.code) == (0, 0, 0, 0, 0)
    assert not [each.name for each in (one, two, named) if each.name in without.out]
    assert f"{two.name}: would be removed\n" in tried.out
    assert f"{one.name}: kept, in use: " in used.out
    assert f"{two.name}: removed\n" in used.out
    assert f"{named.name}: removed; localhost/mine:1 is the same image and stays\n" in used.out
    assert f"{one.name}: removed\n" in last.out
    assert none.out.startswith("nothing is kept of failed cells\n")
    assert (await podman.images.inspect("localhost/mine:1")).id == named.image
    with pytest.raises(ConfigError, match=r"one: image .* is not on this service any more"):
        await require_kept(podman, NeededImage(id=one.image, what="one", name=one.name))


async def test_clean_of_what_is_kept_also_frees_the_layers_it_is_made_from(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    barasync.configure(f'[defaults]\nimage = "{busybox}"\ncommand = ["false"]\n')
    await call(barasync, "matrix", "tests", "--keep-failed")
    kinds = {image.kind for image in await own_images(podman)}

    cleaned = await call(barasync, "clean", "--kept")

    assert {"kept", "workspace"} <= kinds
    assert cleaned.code == 0, cleaned.out
    assert not {"kept", "workspace"} & {image.kind for image in await own_images(podman)}


async def test_what_is_kept_is_pruned_after_a_week_and_its_layers_stay_until_then(
    podman: Podman, busybox: str, barasync: Barasync, tmp_path: Path
) -> None:
    barasync.configure(f'[defaults]\nimage = "{busybox}"\ncommand = ["false"]\n')
    await call(barasync, "matrix", "tests", "--keep-failed")
    cell = await looked_up(barasync, NATIVE)
    files = UseFiles(uses=tmp_path / "uses", locks=tmp_path / "locks")
    me = await to_thread.run_sync(Identity.current)

    async def pruned(seconds: float) -> list[str]:
        now = time.time() + seconds
        done = await prune(podman, me, run="", bounds=AUTOMATIC, files=files, now=now)
        return [image.kind for image in done.images if image.id == cell.image]

    assert await pruned(FAILED_SECONDS - 600) == []
    assert await podman.images.exists(cell.image)
    assert await pruned(FAILED_SECONDS + 600) == ["kept"]
    assert not await podman.images.exists(cell.image)
