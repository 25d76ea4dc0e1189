"""Images made from a Containerfile on real podmans: what is in them, what fails, what is left."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import BuildSpec, ImageSummary, Podman, ServerError
from barasync.config.schema import ImageNetwork, ImageTable
from barasync.engine.build import BuildContext, Built
from barasync.engine.containerfile_build import build_containerfile
from barasync.errors import ConfigError, ImageError
from barasync.images.freshness import Freshness
from barasync.images.registry import Registries
from barasync.matrix.platforms import Platform, native, parse
from barasync.workspace.scan import scan
from barasync.workspace.tree import Tree
from tests.contract.emulators import lent
from tests.contract.running import run, shell
from tests.image_bases import bases
from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio

NATIVE = native(os.uname().machine)
ARCHITECTURES = (native_architecture(), "riscv64")
FROM = f"FROM localhost/busybox:{native_architecture()}\n"


@dataclass
class Site:
    """A project with a Containerfile, and what was said of its build."""

    podman: Podman
    project: Path
    working: Callable[[], list[str]]
    said: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    waiting: anyio.Event = field(default_factory=anyio.Event)

    def hear(self, line: str) -> None:
        self.printed.append(line)
        if line == "waiting":
            self.waiting.set()

    def write(self, text: str, path: str = "Containerfile") -> None:
        file = self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    async def build(
        self,
        containerfile: str = "Containerfile",
        *,
        platform: Platform = NATIVE,
        cache: bool = True,
        pull: Freshness = Freshness.MISSING,
        **table: Any,
    ) -> Built:
        async def tree() -> Tree:
            return await to_thread.run_sync(scan, self.project)

        context = BuildContext(
            podman=self.podman,
            project=self.project,
            tree=tree,
            labels={},
            maker={},
            logs=self.project.parent / "logs",
            locks=self.project.parent / "locks",
            processors=anyio.CapacityLimiter(2),
            on_progress=lambda _name, _platform, line: self.said.append(line),
            on_output=lambda _name, _platform, line: self.hear(line),
            cache=cache,
        )
        table = {"network": ImageNetwork.NONE, **table}
        self.said.clear()
        self.printed.clear()
        declared = ImageTable(containerfile=containerfile, **table)
        with anyio.fail_after(60):
            known = bases(self.podman)
            how = Registries(environ={}, pull=pull)
            return await build_containerfile(
                context, "app", declared, platform, bases=known, registries=how
            )

    async def images(self) -> dict[str, ImageSummary]:
        return {image.id: image for image in await self.podman.images.list(all=True)}

    async def in_it(self, image: str, script: str) -> str:
        ended = await run(self.podman, shell(image, script))
        return ended.stdout.decode()


@pytest.fixture
def site(podman: Podman, busybox: str, tmp_path: Path, service: RigService) -> Iterator[Site]:
    assert busybox
    project = tmp_path / "project"
    project.mkdir()
    socket_path = service.endpoint.socket_path
    others = libpod.working_containers(socket_path)

    def working() -> list[str]:
        return [each for each in libpod.working_containers(socket_path) if each not in others]

    yield Site(podman, project, working)
    found = libpod.request(socket_path, "GET", "images/json", query={"all": "true"})
    for image in found:
        if (image["Labels"] or {}).get("barasync.kind") == "containerfile" and image["RepoTags"]:
            libpod.request(socket_path, "DELETE", f"images/{image['Id']}", query={"force": "true"})
    assert working() == []


async def test_a_containerfile_is_built_with_the_projects_files(site: Site) -> None:
    site.write(f"{FROM}COPY . /app\nENV A=b\nRUN echo hello; echo $A > /made\nWORKDIR /app\n")
    site.write("kept", "dir/file")
    site.write("secret", ".barasync/x")

    built = await site.build()

    found = await site.podman.images.inspect(built.id)
    assert found.repo_tags == [f"localhost/barasync/app:{native_architecture()}-{built.key[:12]}"]
    assert "A=b" in found.config.env
    assert await site.in_it(built.id, "cat dir/file /made; ls -a") == (
        "keptb\n.\n..\nContainerfile\ndir\n"
    )
    assert "hello" in site.printed
    assert "hello\n" in (built.log.read_text() if built.log else "")
    assert "step 4/6 RUN echo hello; echo $A > /made" in site.said


async def test_what_was_built_of_the_same_files_is_found_again(site: Site) -> None:
    site.write(f"{FROM}RUN echo hello\n")
    first = await site.build()

    again = await site.build()

    assert (again.id, again.key, again.executed, again.log) == (first.id, first.key, 0, None)
    assert site.said == ["Containerfile: cached"]


async def test_a_containerfile_is_built_again_when_a_name_in_it_is_another_image(
    site: Site,
) -> None:
    name, tag = "localhost/barasync-test/moving", "1"
    site.write("", "sub/file")
    site.write(f"FROM {name}:{tag} AS first\nRUN echo x\n{FROM}COPY --from=first /base /\n")
    made = []
    for text in ("one", "two"):
        site.write(f"{FROM}RUN echo {text} > /base\n", "Base")
        base = await site.build("Base", context="sub")
        await site.podman.images.tag(base.id, name, tag)

        built = await site.build(context="sub")
        again = await site.build(context="sub")

        assert await site.in_it(built.id, "cat /base") == f"{text}\n"
        assert (again.id, site.said) == (built.id, ["Containerfile: cached"])
        made.append(built)
    assert made[0].key == made[1].key
    assert (await site.images())[made[0].id].repo_tags

    await site.podman.images.untag(base.id, name, tag)
    await site.build(context="sub")
    assert site.said == ["Containerfile: cached"]


async def test_no_registry_is_asked_for_a_base_of_this_host(site: Site) -> None:
    # Podman's own builder fails here where no registry listens on `localhost`.
    site.write(f"{FROM}RUN echo always\n")

    await site.build(pull=Freshness.ALWAYS)

    assert "always" in site.printed


async def test_what_was_built_with_a_network_is_not_taken_for_what_is_built_without(
    site: Site,
) -> None:
    site.write(f"{FROM}RUN ls /sys/class/net\nRUN echo last\n")
    await site.build(network=ImageNetwork.BRIDGE)
    assert {"eth0", "lo", "last"} <= set(site.printed)

    await site.build(network=ImageNetwork.NONE)
    assert {"lo", "last"} <= set(site.printed)
    assert "eth0" not in site.printed

    for network in ImageNetwork:
        await site.build(network=network)
        assert site.said == ["Containerfile: cached"]


async def test_build_has_no_cache__only_the_steps_that_see_other_files_are_done_again(
    site: Site,
) -> None:
    site.write(f"{FROM}RUN echo expensive\nCOPY file /\n")
    site.write("one", "file")
    first = await site.build(network=ImageNetwork.BRIDGE)
    site.write("two", "file")

    second = await site.build(network=ImageNetwork.BRIDGE)

    assert second.id != first.id
    assert "expensive" not in site.printed
    assert await site.in_it(second.id, "cat /file") == "two"


async def test_without_the_cache_every_step_is_done_again(site: Site) -> None:
    site.write(f"{FROM}RUN echo expensive\n")
    first = await site.build()

    second = await site.build(cache=False)

    found = await site.images()
    assert second.key == first.key
    assert found[second.id].repo_tags != found[first.id].repo_tags != []
    assert "expensive" in site.printed


async def test_a_failing_step_is_said_with_its_last_lines_and_nothing_is_left(
    site: Site,
) -> None:
    script = "for i in $(seq 20); do echo line $i; done; printf end; exit 7"
    site.write(f"{FROM}RUN echo before\nRUN {script}\n")
    before = await site.images()

    with pytest.raises(ImageError) as caught:
        await site.build()

    first, *lines, log = str(caught.value).splitlines()
    assert first.startswith(f"image 'app' for {NATIVE}: Containerfile: step 3/4 RUN for i in")
    assert first.endswith("failed with exit code 7")
    assert [line.strip() for line in lines] == [*map("line {}".format, range(12, 21)), "end"]
    assert "line 1\n" in await anyio.Path(log.strip().removeprefix("log: ")).read_text()
    assert await site.images() == before
    assert site.working() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{FROM}COPY absent /\n", "step 2/3 COPY absent /: .*no such file"),
        (f"{FROM}FROB x\n", "step 2/3 FROB x: Build error: Unknown instruction"),
        ("", "no contents in .*Containerfile"),
        ("FROM localhost/barasync-test/absent\n", "step 1/2 FROM localhost/.*absent: .*"),
    ],
    ids=["missing-file", "bad-instruction", "empty", "no-base"],
)
async def test_what_cannot_be_built_is_said(site: Site, text: str, said: str) -> None:
    site.write(text)
    before = await site.images()

    with pytest.raises(ImageError, match=f"image 'app' for {NATIVE}: Containerfile: {said}") as how:
        await site.build()

    assert "libpod_builder" not in str(how.value)
    assert await site.images() == before


async def test_a_containerfile_that_is_not_there_is_said_before_podman_is_asked(
    site: Site,
) -> None:
    site.write(FROM, "Dockerfile")
    (site.project / "out").symlink_to("/etc/passwd")

    with pytest.raises(ConfigError, match="there is no file Containerfile") as caught:
        await site.build()
    assert caught.value.hint == "there is Dockerfile"
    with pytest.raises(
        ConfigError, match=r"images.app.containerfile: out leads out of the project"
    ):
        await site.build("out")
    with pytest.raises(ConfigError, match=r"images.app.context: absent is not a directory"):
        await site.build("Dockerfile", context="absent")


async def test_a_context_is_all_that_a_containerfile_sees_and_it_may_lie_outside(
    site: Site,
) -> None:
    site.write(f"{FROM}COPY . /app/\n", "build/Containerfile")
    site.write("outside", "outside")
    site.write("inside", "sub/inside")
    site.write("ignored", "sub/ignored.o")
    site.write("*.o\n", "sub/.containerignore")

    built = await site.build("build/Containerfile", context="sub")

    assert await site.in_it(built.id, "cd /app; ls -a") == ".\n..\ninside\n"


async def test_stages_leave_nothing_unnamed_that_nothing_is_made_from(site: Site) -> None:
    site.write(f"{FROM.strip()} AS one\nRUN echo made > /made\n{FROM}COPY --from=one /made /\n")

    before = await site.images()
    built = await site.build()

    found = await site.images()
    parents = {image.parent_id for image in found.values()}
    new = [image for image in found.values() if image.id not in before]
    assert not [each for each in new if not each.repo_tags and each.id not in parents]
    assert await site.in_it(built.id, "cat /made") == "made\n"


async def test_an_image_for_a_foreign_platform_keeps_it(
    site: Site, busybox_for: Callable[[str], str]
) -> None:
    busybox_for("riscv64")
    site.write("FROM localhost/busybox:riscv64\nCOPY Containerfile /\n")

    built = await site.build(platform=parse("riscv64"))

    assert (await site.podman.images.inspect(built.id)).architecture == "riscv64"


@pytest.fixture(scope="module")
def emulators() -> Iterator[None]:
    with lent([parse(each) for each in ARCHITECTURES]):
        yield


@pytest.fixture
def both(service: RigService, busybox_for: Callable[[str], str]) -> Iterator[str]:
    """The name of a manifest list of the busybox of two architectures."""
    socket_path = service.endpoint.socket_path
    name = "localhost/barasync-test/both:1"
    members = [busybox_for(each) for each in ARCHITECTURES]
    libpod.request(socket_path, "POST", f"manifests/{name}")
    names = [f"containers-storage:{member}" for member in members]
    body = {"operation": "update", "images": names}
    libpod.request(socket_path, "PUT", f"manifests/{name}", body=body)
    yield name
    libpod.request(socket_path, "DELETE", f"manifests/{name}")


@pytest.mark.usefixtures("emulators")
async def test_the_command_builds_a_containerfile_for_two_architectures_of_a_list(
    site: Site, service: RigService, both: str, tmp_path: Path
) -> None:
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    barasync = Barasync(site.project, service.endpoint.url, environ)
    barasync.configure('[images.app]\ncontainerfile = "Containerfile"\nlabels = { a = "b" }\n')
    site.write(f"FROM {both}\nCOPY Containerfile /made\n")
    command = partial(barasync, "image", "build", "app", "--arch", ",".join(ARCHITECTURES))
    first = await to_thread.run_sync(command)
    second = await to_thread.run_sync(command)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert second.out == first.out
    assert second.err.count("Containerfile: cached") == len(ARCHITECTURES)
    path = "manifests/localhost/app:latest"
    found = libpod.request(service.endpoint.socket_path, "GET", f"{path}/json")
    libpod.request(service.endpoint.socket_path, "DELETE", path)
    said = sorted(entry["platform"]["architecture"] for entry in found["manifests"])
    assert said == sorted(ARCHITECTURES)


async def test_build_has_the_hosts_network__what_is_offline_has_none(site: Site) -> None:
    site.write(f"{FROM}RUN ls /sys/class/net > /net\n")

    built = await site.build(network=ImageNetwork.NONE)

    assert await site.in_it(built.id, "cat /net") == "lo\n"


async def packed(**files: str) -> AsyncIterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    yield buffer.getvalue()


async def test_build_fails_after_200__it_says_why(podman: Podman, busybox: str) -> None:
    assert busybox
    spec = BuildSpec(
        containerfile="Containerfile",
        reference="localhost/barasync-test/built",
        architecture=native_architecture(),
        offline=True,
    )

    with pytest.raises(ServerError, match=r"Containerfile cannot be built: .*exit status 3"):
        await podman.builds.build(spec, packed(Containerfile=f"{FROM}RUN exit 3\n"))
    with pytest.raises(ServerError, match="tar"):
        await podman.builds.build(spec, packed_badly())


async def packed_badly() -> AsyncIterator[bytes]:
    yield b"no archive" * 1000


async def test_build_leaves_layers__they_are_gone_after_a_failure(site: Site) -> None:
    site.write(f"{FROM}RUN echo one\nRUN echo two\nCOPY absent /\n")
    before = await site.images()

    with pytest.raises(ImageError):
        await site.build()

    assert site.printed == ["one", "two"]
    assert await site.images() == before


async def test_build_outlives_its_client__nothing_is_left_when_its_step_has_ended(
    site: Site,
) -> None:
    site.write(f"{FROM}RUN echo one\nRUN echo waiting; sleep 2\nRUN echo never\n")
    before = await site.images()

    async with anyio.create_task_group() as group:

        async def build() -> None:
            await site.build()

        group.start_soon(build)
        await site.waiting.wait()
        assert site.working()
        group.cancel_scope.cancel()

    assert site.working() == []
    assert await site.images() == before


@pytest.mark.parametrize(
    "printed",
    [
        "left",
        f"STEP 9/9: x\\n--> Using cache {'1f3a' * 16}\\n",
        f"--> Using cache {'1f3a' * 16}\\n",
    ],
    ids=["open", "step", "cache"],
)
async def test_what_a_step_prints_is_not_taken_for_podmans(site: Site, printed: str) -> None:
    site.write(f"{FROM}RUN printf '{printed}'\nRUN printf 'the end'; exit 3\n")
    before = await site.images()

    with pytest.raises(ImageError) as caught:
        await site.build()

    assert "step 3/4 RUN printf 'the end'; exit 3: failed with exit code 3" in str(caught.value)
    assert "the end" in str(caught.value)
    assert await site.images() == before
    text = printed.replace("\\n", "\n")
    log = site.project.parent / "logs" / f"app-{NATIVE.architecture}.log"
    assert f"\n{text.rstrip()}\n==> step 3/4" in await anyio.Path(log).read_text()
    assert not [line for line in site.said if line.startswith("step 9/9") or "cached" in line]


async def test_what_has_no_lines_is_kept_without_being_held(site: Site) -> None:
    site.write(f"{FROM}RUN head -c 8000000 /dev/zero | tr '\\\\0' x\n")

    built = await site.build()

    assert built.log is not None
    assert (await anyio.Path(built.log).stat()).st_size > 8_000_000


async def test_an_image_without_a_base_is_made_for_every_platform(
    site: Site, podman: Podman
) -> None:
    site.write("text", "file")
    site.write("FROM scratch\nCOPY file /\n")
    platforms = [parse("riscv64"), parse("arm64"), parse("amd64")]

    # Podman's cache counts only where there is a network.
    builds = partial(site.build, network=ImageNetwork.BRIDGE)

    built = [await builds(platform=platform) for platform in platforms]
    again = [await builds(platform=platform) for platform in platforms]

    made = [(await podman.images.inspect(each.id)).architecture for each in built]
    assert made == [platform.architecture for platform in platforms]
    assert [each.id for each in again] == [each.id for each in built]
    assert [each.executed for each in again] == [0, 0, 0]
