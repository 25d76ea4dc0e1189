"""Steps of images on real podmans: what an image keeps, what it gets, and what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import Container, Podman
from barasync.aiopodman.containers import Containers
from barasync.config.schema import ImageTable
from barasync.engine.identity import Identity, Liveness
from barasync.engine.images import Images
from barasync.engine.reaper import Kind, leftovers, remove
from barasync.errors import ConfigError, ImageError
from barasync.images.containerfile import Env, Label, User, Workdir
from barasync.images.registry import Registries
from barasync.images.steps import (
    CopyStep,
    PackagesStep,
    ProjectStep,
    RunStep,
    SettingsStep,
)
from barasync.matrix.platforms import parse
from tests.contract.emulators import lent
from tests.contract.steps import (
    BASE,
    MAKER,
    NATIVE,
    OFFLINE,
    RUN,
    Site,
    cleared,
    output,
    parent_of,
    run,
)
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio

VOLUME = "FROM {}\nRUN mkdir /data && echo x > /data/base\nVOLUME /data\n"


@pytest.fixture
async def site(podman: Podman, tmp_path: Path) -> AsyncIterator[Site]:
    async with cleared(podman, tmp_path) as site:
        yield site


async def test_a_chain_of_all_steps_is_made_once(site: Site, podman: Podman, busybox: str) -> None:
    (site.project / "file").write_text("text")
    steps = (
        SettingsStep((Env("GREETING", 'x "$y"  \\z'), Workdir("/made/here"))),
        PackagesStep(("tool",), "mkdir -p /opt && echo tool > /opt/tool", OFFLINE),
        CopyStep("file", "/in/"),
        ProjectStep(),
        run("pwd; echo $GREETING; cat /opt/tool /in/file /workspace/file > out; id -un"),
        SettingsStep((User("nobody"), Label("l", 'a "$b" \\c'))),
    )

    first = await site.build(busybox, *steps)
    again = await site.build(busybox, *steps)

    assert (first.executed, again.executed) == (6, 0)
    assert again.id == first.id
    assert site.printed == ["/made/here", 'x "$y" \\z', "root"]
    image = await podman.images.inspect(first.id)
    assert image.repo_tags == [f"localhost/barasync/step:{first.key[:16]}"]
    assert image.config.user == "nobody"
    assert image.config.working_dir == "/made/here"
    assert 'GREETING=x "$y"  \\z' in image.config.env
    assert image.labels["l"] == 'a "$b" \\c'
    assert image.labels["barasync.kind"] == "step"
    assert image.labels.items() >= {**dict.fromkeys(RUN, ""), **MAKER}.items()
    assert await output(podman, first.id, "cat out") == ["tool", "texttext"]


async def test_a_copy_is_roots_whoever_the_images_user_is(
    site: Site, service: RigService, podman: Podman, busybox: str
) -> None:
    text = f"FROM {busybox}\nRUN mkdir -p /old && chmod 700 /old && ln -s /old /link\nUSER nobody\n"
    parent = await to_thread.run_sync(parent_of, service, text)
    project = site.project
    (project / "dir/deep").mkdir(parents=True)
    (project / "dir/deep/set").write_text("1")
    (project / "dir/deep/set").chmod(0o4751)
    (project / "dir/open").mkdir(mode=0o777)
    (project / "dir/open").chmod(0o1777)
    (project / "dir/away").symlink_to("/nowhere")
    (project / "dir").chmod(0o700)
    (project / "empty").mkdir()

    built = await site.build(
        parent,
        CopyStep("dir", "/new/place"),
        CopyStep("dir", "/link"),
        CopyStep("dir/deep/set", "/link"),
        CopyStep("dir/deep/set", "/other/"),
        CopyStep("dir/deep/set", "/other/name"),
        CopyStep("empty", "/made/empty"),
    )

    lines = await output(
        podman,
        built.id,
        "cd /; stat -c '%n %a %u:%g' new new/place new/place/deep/set new/place/open old"
        " old/deep/set old/set other other/set other/name made/empty;"
        " readlink new/place/away; readlink link",
    )
    assert lines == [
        "new 755 0:0",
        "new/place 755 0:0",
        "new/place/deep/set 4751 0:0",
        "new/place/open 1777 0:0",
        "old 700 0:0",
        "old/deep/set 4751 0:0",
        "old/set 4751 0:0",
        "other 755 0:0",
        "other/set 4751 0:0",
        "other/name 4751 0:0",
        "made/empty 755 0:0",
        "/nowhere",
        "/old",
    ]
    assert (await podman.images.inspect(built.id)).config.user == "nobody"


async def test_the_projects_files_belong_to_the_images_user(
    site: Site, service: RigService, podman: Podman, busybox: str
) -> None:
    parent = await to_thread.run_sync(parent_of, service, f"FROM {busybox}\nUSER nobody\n")
    (site.project / "file").write_text("text")

    built = await site.build(parent, ProjectStep(), run("echo more >> /workspace/file"))

    assert await output(podman, built.id, "stat -c '%u:%g' /workspace/file") == ["65534:65534"]


async def test_users_and_groups_are_those_of_the_scripts_alone(
    site: Site, podman: Podman, busybox: str
) -> None:
    # On the service's host there is a user of the second number, whose name is no image's business.
    first = await site.build(busybox, run("echo root:x:0: > /etc/group"))
    before = await output(podman, first.id, "cat /etc/passwd /etc/group")

    numbers = []
    for user in ("12345:12345", "1:1"):
        settings = SettingsStep((User(user),))
        step = run("id -u; id -g; echo $HOME; test ! -w /etc/passwd")
        packages = PackagesStep(("x",), "echo by-root >> /installed", OFFLINE)
        built = await site.build(first.id, settings, packages, step)
        numbers.append(site.printed[-3:])
        assert await output(podman, built.id, "cat /etc/passwd /etc/group") == before
    assert numbers == [["12345", "12345", "/"], ["1", "1", "/"]]


async def test_a_directory_takes_the_place_of_no_file(site: Site, busybox: str) -> None:
    (site.project / "dir").mkdir()

    with pytest.raises(ConfigError, match="/etc/passwd is not a directory in the image"):
        await site.build(busybox, CopyStep("dir", "/etc/passwd/below"))


async def test_what_steps_write_below_a_volume_of_their_base_stays(
    site: Site, service: RigService, podman: Podman, busybox: str
) -> None:
    parent = await to_thread.run_sync(parent_of, service, VOLUME.format(busybox))
    (site.project / "file").write_text("text")
    before = await podman.volumes.list()

    steps = CopyStep("file", "/data/file"), run("echo x > /data/written"), run("ls /data")
    built = await site.build(parent, *steps)

    assert site.printed == ["base", "file", "written"]
    assert await output(podman, built.id, "ls /data") == ["base", "file", "written"]
    assert await podman.volumes.list() == before


@pytest.fixture(scope="module")
def emulators() -> Iterator[None]:
    with lent([parse("arm64"), parse("riscv64")]):
        yield


@pytest.mark.usefixtures("emulators")
@pytest.mark.parametrize("arch", ["arm64", "riscv64"])
async def test_scripts_of_other_architectures_run_under_emulation(
    site: Site, podman: Podman, busybox_for: Callable[[str], str], arch: str
) -> None:
    built = await site.build(
        busybox_for(arch), run("uname -m > /machine; cat /machine"), platform=parse(arch)
    )

    assert site.printed == [{"arm64": "aarch64"}.get(arch, arch)]
    assert (await podman.images.inspect(built.id)).architecture == arch


async def test_copies_and_settings_need_no_emulator(
    site: Site, podman: Podman, busybox_for: Callable[[str], str]
) -> None:
    (site.project / "file").write_text("text")

    built = await site.build(
        busybox_for("armhf"),
        CopyStep("file", "/in"),
        SettingsStep((Env("A", "b"),)),
        platform=parse("armv7"),
    )

    assert (await podman.images.inspect(built.id)).architecture == "arm"


async def test_only_a_step_that_wants_a_network_has_one(site: Site, busybox: str) -> None:
    script = "ls /sys/class/net"

    await site.build(busybox, RunStep(f"{script}; : with"), run(f"{script}; : without"))

    assert site.printed == ["eth0", "lo", "lo"]


async def test_steps_are_made_without_root_too(
    rootless_podman: Podman, rootless_busybox: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("text")
    site = Site(rootless_podman, tmp_path, tmp_path / "logs")
    steps = (run("id -u; echo x > /made"), CopyStep("file", "/in"), run("stat -c %u:%g /in /made"))

    built = await site.build(rootless_busybox, *steps)

    assert (built.executed, (await site.build(rootless_busybox, *steps)).executed) == (3, 0)
    assert site.printed == ["0", "0:0", "0:0"]
    await rootless_podman.images.remove(built.id, force=True)


async def test_a_copy_takes_the_place_of_a_link_and_leaves_what_it_leads_to(
    site: Site, podman: Podman, busybox: str
) -> None:
    (site.project / "file").write_text("new\n")

    built = await site.build(
        busybox, run("echo old > /target; ln -s /target /link"), CopyStep("file", "/link")
    )

    assert await output(podman, built.id, "cat /link /target; test -L /link || echo file") == [
        "new",
        "old",
        "file",
    ]


async def test_an_image_without_a_shell_can_have_copies_and_no_scripts(
    site: Site, podman: Podman
) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield bytes(1024)

    empty = await podman.images.import_(nothing(), reference=f"{BASE}:empty")
    (site.project / "file").write_text("text")

    built = await site.build(empty, CopyStep("file", "/in"))
    with pytest.raises(ImageError, match="the image has no /bin/sh to execute it with"):
        await site.build(built.id, run("true"))

    assert (await podman.images.inspect(built.id)).config.cmd == []


async def test_a_script_that_fails_leaves_the_steps_before_it_and_says_why(
    site: Site, busybox: str
) -> None:
    with pytest.raises(ImageError) as caught:
        await site.build(busybox, run("echo one"), run("echo two; echo bad >&2; exit 3"))
    with pytest.raises(ImageError):
        await site.build(busybox, run("echo one"), run("exit 3"))

    lines = str(caught.value).split("\n  ")
    assert lines[0].endswith("step 2/2 RUN echo two; echo bad >&2; exit 3 failed with exit code 3")
    assert sorted(lines[1:-1]) == ["bad", "two"]
    assert lines[-1] == f"log: {site.logs}/app-{NATIVE.architecture}.log"
    assert site.printed.count("one") == 1
    log = await anyio.Path(site.logs / f"app-{NATIVE.architecture}.log").read_text()
    assert log.startswith("==> step 1/2 RUN echo one\none\n==> step 2/2 RUN echo two")


async def test_what_was_found_and_is_removed_before_it_is_held_is_made_anew(
    site: Site, podman: Podman, busybox: str
) -> None:
    removed: list[str] = []

    async def hold(image: str) -> None:
        if not removed and image != busybox:
            removed.append(image)
            await podman.images.remove(image, force=True)

    def images(last: str, **context: Any) -> Images:
        declared = {
            "below": ImageTable(from_=busybox, run=["echo 1 > /a"], network=OFFLINE),
            "top": ImageTable(from_="below", run=[last], network=OFFLINE),
        }
        return Images(
            declared,
            site.context(**context),
            registries=Registries(environ={}),
            cache_dir=site.logs,
            on_found=lambda _: None,
        )

    below = await images("true").get(("below", NATIVE))
    made = await images("cat /a > /b", hold=hold).get(("top", NATIVE))

    assert removed == [below]
    assert await output(podman, made, "cat /b") == ["1"]


async def test_however_much_a_step_prints_it_is_in_the_log(site: Site, busybox: str) -> None:
    built = await site.build(
        busybox, run("head -c 20000000 /dev/zero | tr '\\000' x; echo; echo end")
    )

    assert built.log is not None
    assert built.log.stat().st_size == len("==> step 1/1 ") + 20_000_005 + len(
        "RUN head -c 20000000 /dev/zero | tr '\\000' x; echo; echo end\n"
    )
    assert site.printed[-1] == "end"
    assert max(map(len, site.printed)) <= 1000


@pytest.mark.parametrize("moment", ["create", "run", "commit", "put_archive"])
async def test_cancelled_at_any_moment_it_leaves_nothing(
    site: Site, podman: Podman, busybox: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.project / "file").write_bytes(os.urandom(30_000_000))
    asked = anyio.Event()
    if moment == "run":
        context = {"on_output": lambda *_: asked.set()}
    else:
        context = {}
        kind = Containers if moment == "create" else Container
        request = getattr(kind, moment)

        async def ask(self: object, *arguments: Any, **options: Any) -> Any:
            asked.set()
            return await request(self, *arguments, **options)

        monkeypatch.setattr(kind, moment, ask)
    step = CopyStep("file", "/in") if moment == "put_archive" else run("echo begun; sleep 1")

    async with anyio.create_task_group() as group:
        group.start_soon(partial(site.build, busybox, step, **context))
        await asked.wait()
        group.cancel_scope.cancel()

    # `site` looks for images without a name.
    assert await podman.containers.list(labels={"barasync.run": "steps-test"}, all=True) == []


KILLED = """
import sys
from pathlib import Path
import anyio
from barasync.aiopodman import Endpoint, Podman
from barasync.config.schema import ImageNetwork
from barasync.engine.build import BuildContext, Builder
from barasync.engine.identity import Identity
from barasync.images.steps import RunStep
from barasync.matrix.platforms import native

async def main(url, image, directory):
    identity = Identity.current()
    async with Podman(Endpoint(url, "a test")) as podman:
        context = BuildContext(
            podman=podman, project=directory, tree=None, labels=identity.labels("killed-build"),
            maker=identity.maker_labels("killed-build"), logs=directory,
            locks=directory, processors=anyio.CapacityLimiter(1),
            on_output=lambda name, platform, line: print(line, flush=True),
        )
        step = RunStep("echo begun; sleep 600", network=ImageNetwork.NONE)
        await Builder(context).build("app", image, (step,), native("x86_64"))

anyio.run(main, sys.argv[1], sys.argv[2], Path(sys.argv[3]))
"""


async def test_what_a_killed_builder_left_is_found_and_removed(
    site: Site, podman: Podman, service: RigService, busybox: str
) -> None:
    def build_and_kill() -> None:
        command = [sys.executable, "-c", KILLED, service.endpoint.url, busybox, str(site.project)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as builder:
            assert builder.stdout is not None
            assert builder.stdout.readline() == b"begun\n"
            builder.send_signal(signal.SIGKILL)

    await to_thread.run_sync(build_and_kill)

    identity = await to_thread.run_sync(Identity.current)
    found = await leftovers(podman, identity, None, kinds={Kind.CONTAINER})
    (left,) = [each for each in found if each.run == "killed-build"]
    inspected = await podman.containers.handle(left.key).inspect()
    assert left.liveness is Liveness.DEAD
    assert inspected.config.timeout == 6 * 3600 + 30
    await remove(podman, None, [left])
    assert not await podman.containers.list(labels={"barasync.run": "killed-build"}, all=True)
