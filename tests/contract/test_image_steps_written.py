"""`steps` of an image on real podmans: in their order, with exactly what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from barasync.aiopodman import ContainerSpec, Podman
from tests.contract.running import run
from tests.rig import libpod
from tests.rig.command import Barasync, Ended, call
from tests.rig.services import RigService

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_image_stays")]

ODD = " a 'b' \"c\" $HOME \\ -x"
SCRIPT = "printf '%s' \"$ODD\" >/made/odd\nid -un >/made/who; pwd >>/made/who"


def declare(barasync: Barasync, image: str, *steps: str) -> None:
    barasync.configure(f'[images.x]\nfrom = "{image}"\nsteps = {json.dumps(steps)}\n')


def built(ended: Ended) -> str:
    """Return the ID of the one image that was built."""
    assert ended.code == 0, ended.err
    return ended.out.splitlines()[0].split()[2]


async def printed(podman: Podman, image: str, *command: str) -> str:
    ended = await run(podman, ContainerSpec(image=image, command=command))
    assert ended.state.state.exit_code == 0, ended.stderr
    return ended.stdout.decode()


async def test_every_step_sees_what_those_before_it_have_done_and_nothing_of_those_after(
    podman: Podman, service: RigService, busybox: str, barasync: Barasync
) -> None:
    (barasync.directory / "a b").write_text("first")
    (barasync.directory / "-dash").write_text("second")
    steps = (
        "run ! printenv ODD && mkdir /made && chmod 777 /made && ls / >/made/before",
        f"env ODD={ODD}",
        "copy a b:/made/copied file",
        "workdir /made/here",
        "user 65534",
        f"run {SCRIPT}",
        "copy -dash:/made/copied file",
        "user root",
        "run touch /made/last",
        "workdir /made",
        "env LAST=1",
    )
    declare(barasync, busybox, *steps)
    made = built(await call(barasync, "image", "build", "x"))
    containers = libpod.containers_made(service.endpoint.socket_path)
    again = await call(barasync, "image", "build", "x")
    nothing_made = libpod.containers_made(service.endpoint.socket_path) == containers
    show = 'cat "$1" odd who; ls -l last; pwd; echo "$LAST|$ODD"'
    lines = await printed(podman, made, "sh", "-c", show, "sh", "copied file")
    before = await printed(podman, made, "cat", "/made/before")
    image = await podman.images.inspect(made)

    assert built(again) == made
    assert nothing_made
    assert "copied" not in before
    assert lines.startswith(f"second{ODD}")
    who, where, last, pwd, env = lines.removeprefix(f"second{ODD}").splitlines()
    assert (who, where, pwd, env) == ("nobody", "/made/here", "/made", f"1|{ODD}")
    assert " root " in last
    assert image.config.user == "root"


async def test_what_comes_after_a_step_that_changed_is_done_again_and_no_more(
    service: RigService, busybox: str, barasync: Barasync
) -> None:
    async def steps_done(*steps: str) -> int:
        declare(barasync, busybox, *steps)
        before = libpod.containers_made(service.endpoint.socket_path)
        built(await call(barasync, "image", "build", "x"))
        return len(libpod.containers_made(service.endpoint.socket_path) - before)

    first = await steps_done("run echo a >/a", "run echo b >/b", "run echo c >/c")
    swapped = await steps_done("run echo a >/a", "run echo c >/c", "run echo b >/b")
    same = await steps_done("run echo a >/a", "run echo b >/b", "run echo c >/c", "env A=1")

    assert (first, swapped, same) == (3, 2, 1)


async def test_a_step_that_fails_is_named_and_what_was_built_before_keeps_its_name(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    declare(barasync, busybox, "run echo old >/made")
    old = built(await call(barasync, "image", "build", "x"))
    declare(barasync, busybox, "run echo new >/made", "run echo why; exit 3")

    failed = await call(barasync, "image", "build", "x")

    assert (failed.code, failed.out) == (5, "")
    assert "step 2/2 RUN echo why; exit 3 failed with exit code 3" in failed.err
    assert (await podman.images.inspect("localhost/x:latest")).id == old


async def test_files_are_taken_from_the_context_and_one_that_lies_elsewhere_is_no_other(
    podman: Podman, service: RigService, busybox: str, barasync: Barasync, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "sub").mkdir(parents=True)
    (project / "sub" / "tool").write_text("of the project")
    here = replace(barasync, directory=project)
    here.configure(
        f'[images.x]\nfrom = "{busybox}"\ncontext = "sub"\nsteps = ["copy tool:/usr/bin/"]\n'
    )
    made = built(await call(here, "image", "build", "x"))
    done = []
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "tool").write_text("from outside")
        (tmp_path / name / "deep" / "file").write_text("below")
        (tmp_path / name / "-a *[b]\n'c'?").write_text("odd")
        words = [f"from={busybox}", f"context=../{name}"]
        words += [f"steps=copy {each}" for each in ("tool:/usr/bin/", "deep:/deep")]
        words += ["steps=copy -a *[b]\n'c'?:/odd"]
        defined = [f"--define=images.y.{word}" for word in words]
        before = libpod.containers_made(service.endpoint.socket_path)
        outside = built(await call(here, "image", "build", *defined, "--", "y"))
        done.append(len(libpod.containers_made(service.endpoint.socket_path) - before))

    assert await printed(podman, made, "cat", "/usr/bin/tool") == "of the project"
    assert await printed(podman, outside, "cat", "/usr/bin/tool", "/deep/file", "/odd") == (
        "from outsidebelowodd"
    )
    assert done == [3, 0]
