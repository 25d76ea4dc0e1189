"""The images that barasync made, listed and removed, on real podmans."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from barasync.aiopodman import ContainerSpec, Podman
from barasync.engine.image_uses import UseFiles, using
from barasync.images.inventory import own_images
from barasync.images.manifest import publish
from barasync.images.snapshot import take_snapshot
from barasync.images.tags import parse_tag
from barasync.matrix.platforms import Platform
from tests.contract.running import created, finish, shell
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, call

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_image_stays")]

NATIVE = native_architecture()
NAME = "localhost/snap:1"
WRITES = "mkdir -p /made; echo written >/made/file"


async def test_what_barasync_made_is_listed_and_removed_and_nothing_else(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with created(podman, shell(busybox, WRITES)) as container:
        await finish(container)
        await container.commit(repository="localhost/own", tag="1")
        for name in ("snap:1", "snap:2"):
            await take_snapshot(podman, container, parse_tag(name, "TAG"))
    async with created(podman, ContainerSpec(image=NAME, command=("true",))) as made:
        await made.commit(repository="localhost/of-a-snapshot", tag="1")
        one, two = [(await podman.images.inspect(f"localhost/snap:{tag}")).id for tag in "12"]

        listed = await call(barasync, "image", "list")
        data = json.loads((await call(barasync, "image", "list", "--json")).out)
        foreign = await call(barasync, "image", "remove", "snap:2", "localhost/own:1")
        missing = await call(barasync, "image", "remove", "snap:3")
        removed = await call(barasync, "image", "remove", "snap:1", two[:12])
        assert await podman.images.exists("localhost/of-a-snapshot:1")

    table = {line.split()[0]: line.split()[1:3] for line in listed.out.splitlines()}
    assert table["NAME"] == ["PLATFORM", "KIND"]
    assert table["localhost/snap:1"] == [f"linux/{NATIVE}", "snapshot"]
    assert not {"localhost/own:1", "localhost/of-a-snapshot:1"} & set(table)
    assert {each["id"] for each in data if each["kind"] == "snapshot"} == {one, two}
    assert (foreign.code, missing.code, removed.code) == (2, 2, 1)
    assert "localhost/own:1 is an image that barasync did not make" in foreign.err
    assert "there is no image snap:3" in missing.err
    assert "snap:1: kept, in use" in removed.out
    assert f"{two[:12]} (localhost/snap:2): removed" in removed.out
    assert not await podman.images.exists("localhost/snap:2")


async def test_an_image_with_several_names_loses_one_or_goes_with_all(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with created(podman, shell(busybox, WRITES)) as container:
        made = await take_snapshot(podman, container, parse_tag("snap:1", "TAG"))
    await podman.images.tag(made.id, "localhost/other", "1")

    first = await call(barasync, "image", "remove", "localhost/other:1")
    await podman.images.tag(made.id, "localhost/other", "1")
    second = await call(barasync, "image", "remove", made.id)

    assert first.out == f"localhost/other:1: removed; {NAME} is the same image and stays\n"
    assert second.code == 0, second.err
    assert not await podman.images.exists(made.id)


async def test_layers_pulled_images_and_programs_are_told_apart(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    barasync.configure(f'[defaults]\nimage = "{busybox}"\ncommand = ["true"]\n')
    await call(barasync, "matrix", "tests")
    await call(barasync, "arch", "check", NATIVE)
    await podman.images.tag(busybox, "localhost/barasync/pulled", "amd64-0123456789ab")
    try:
        found = await own_images(podman)
    finally:
        await podman.images.untag(busybox, "localhost/barasync/pulled", "amd64-0123456789ab")
    own = Platform(NATIVE)

    assert (own,) in {image.platforms for image in found if image.kind == "workspace"}
    assert (f"localhost/barasync/probe:{NATIVE}",) in {
        image.names for image in found if image.kind == "probe"
    }
    assert busybox in {image.id for image in found if image.kind == "pulled"}


async def test_a_list_of_images_of_several_platforms_is_one_and_goes_without_them(
    podman: Podman, busybox: str, busybox_for: Callable[[str], str], barasync: Barasync
) -> None:
    arm64 = busybox_for("arm64")
    names = []
    for image, tag in ((busybox, NATIVE), (arm64, "arm64")):
        async with created(podman, ContainerSpec(image=image, command=("true",))) as container:
            names.append(f"localhost/snap:{tag}")
            await take_snapshot(podman, container, parse_tag(names[-1], "TAG"))
    members = {
        Platform(NATIVE): (await podman.images.inspect(names[0])).id,
        Platform("arm64"): (await podman.images.inspect(names[1])).id,
    }
    await publish(podman, "localhost/both:1", members)
    await publish(podman, "localhost/others:1", {Platform(NATIVE): busybox})

    found = [image for image in await own_images(podman) if image.kind == "list"]
    removed = await call(barasync, "image", "remove", "both:1")
    others = await call(barasync, "image", "remove", "others:1")
    refused = await call(barasync, "image", "snapshot", "no-such-box", "others:1")

    assert ("localhost/others:1",) not in [image.names for image in found]
    (both,) = [image for image in found if image.names == ("localhost/both:1",)]
    assert set(both.platforms) == set(members)
    assert (removed.code, removed.out) == (0, "localhost/both:1: removed\n"), removed.err
    assert not await podman.manifests.exists("localhost/both:1")
    assert [await podman.images.exists(name) for name in names] == [True, True]
    assert (others.code, refused.code) == (2, 2)
    assert await podman.manifests.exists("localhost/others:1")


async def test_what_a_run_holds_is_not_removed(
    podman: Podman, busybox: str, barasync: Barasync, tmp_path: Path
) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        made = await take_snapshot(podman, container, parse_tag(NAME, "TAG"))
    cache = tmp_path / "cache"
    environ = {**barasync.environ, "XDG_CACHE_HOME": str(cache)}
    files = UseFiles(cache / "barasync/uses", cache / "barasync/locks")
    remove = partial(call, replace(barasync, environ=environ), "image", "remove", NAME)

    async with using(files, "run1", clock=time.time) as uses:
        await uses.hold(made.id)
        kept = await remove()
    removed = await remove()

    assert (kept.code, kept.out) == (1, f"{NAME}: kept, a run or a build uses it\n")
    assert (removed.code, removed.out) == (0, f"{NAME}: removed\n")


async def test_all_images_are_listed_and_any_is_removed_but_one_in_use(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with created(podman, shell(busybox, WRITES)) as container:
        await finish(container)
        first = await container.commit(repository="localhost/own", tag="1")
        await container.commit(repository="docker.io/library/away", tag="1")
        snap = await take_snapshot(podman, container, parse_tag("snap:1", "TAG"))
    await podman.images.tag(first, "localhost/own", "2")
    await publish(podman, "localhost/others:1", {Platform(NATIVE): busybox})

    async with created(podman, ContainerSpec(image="localhost/own:1", command=("true",))):
        data = json.loads((await call(barasync, "image", "list", "--all", "--json")).out)
        all_names = (await call(barasync, "image", "list", "--all", "--names")).out.splitlines()
        own_names = (await call(barasync, "image", "list", "--names")).out.splitlines()
        one_name = await call(barasync, "image", "remove", "--any", "own:2")
        used = await call(barasync, "image", "remove", "--any", first[:12])
        missing = await call(barasync, "image", "remove", "--any", "snap:1", "nothing:1")
        by_digest = await call(barasync, "image", "remove", "--any", f"own@sha256:{'0' * 64}")
        assert await podman.images.exists(first)
    words = ("away:1", "localhost/others:1", "own:1", snap.id)
    removed = await call(barasync, "image", "remove", "--any", *words)

    kinds = {name: each["kind"] for each in data for name in each["names"]}
    assert (kinds["localhost/own:1"], kinds["localhost/others:1"]) == ("others", "others")
    assert kinds[NAME] == "snapshot"
    assert {tuple(each["platforms"]) for each in data if "localhost/others:1" in each["names"]} == {
        (f"linux/{NATIVE}",)
    }
    assert {"localhost/own:1", "docker.io/library/away:1", NAME} <= set(all_names)
    assert (NAME in own_names, "localhost/own:1" in own_names) == (True, False)
    assert one_name.out == "localhost/own:2: removed; localhost/own:1 is the same image and stays\n"
    assert used.code == 1
    assert "kept, in use" in used.out
    assert (missing.code, missing.out, by_digest.code) == (2, "", 2)
    assert "there is no image nothing:1" in missing.err
    assert removed.code == 0, removed.out + removed.err
    assert "docker.io/library/away:1: removed" in removed.out
    for gone in ("docker.io/library/away:1", first, snap.id):
        assert not await podman.images.exists(gone)
    assert not await podman.manifests.exists("localhost/others:1")
    assert await podman.images.exists(busybox)
