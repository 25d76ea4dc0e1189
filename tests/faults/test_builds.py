"""Builds and lists of images on a service that fails: the old ones stay, and nothing is left."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import ImageSummary, Podman
from barasync.config.schema import ImageNetwork, ImageTable
from barasync.engine.build import BuildContext, Built
from barasync.engine.containerfile_build import build_containerfile
from barasync.errors import EngineUnavailable, ImageError
from barasync.images.failures import WrongPlatform
from barasync.images.manifest import publish
from barasync.images.registry import Registries
from barasync.matrix.platforms import Platform, parse
from barasync.workspace.scan import scan
from barasync.workspace.tree import Tree
from tests.fake.faults import Dies, EndsAfter, Fault, Hangs, Inserts, Refuses
from tests.fake.images import native_architecture
from tests.fake.service import FakeService
from tests.image_bases import bases

pytestmark = pytest.mark.anyio

NAME = "localhost/app:latest"
NATIVE = Platform(native_architecture())
RISCV = parse("riscv64")


@asynccontextmanager
async def client(service: FakeService) -> AsyncIterator[Podman]:
    async with Podman(service.endpoint, timeout=2) as podman:
        yield podman


async def images(podman: Podman) -> dict[str, ImageSummary]:
    return {image.id: image for image in await podman.images.list(all=True)}


async def build(
    podman: Podman,
    project: Path,
    text: str,
    *,
    platform: Platform = NATIVE,
    cache: bool = True,
    said: list[str] | None = None,
    registries: Registries | None = None,
    **table: Any,
) -> Built:
    """Build; a Containerfile that is there already keeps its time, which is part of its key."""
    path = anyio.Path(project) / "Containerfile"
    if not await path.exists() or await path.read_text() != text:
        await path.write_text(text)

    async def tree() -> Tree:
        return await to_thread.run_sync(scan, project)

    context = BuildContext(
        podman=podman,
        project=project,
        tree=tree,
        labels={},
        maker={},
        logs=project.parent / "logs",
        locks=project.parent / "locks",
        processors=anyio.CapacityLimiter(1),
        on_progress=lambda _name, _platform, line: None if said is None else said.append(line),
        cache=cache,
    )
    declared = ImageTable(containerfile="Containerfile", **table)
    return await build_containerfile(
        context,
        "app",
        declared,
        platform,
        bases=bases(podman),
        registries=registries or Registries(environ={}),
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    found = tmp_path / "project"
    found.mkdir()
    return found


FROM = "FROM localhost/base\n"


async def test_a_build_that_ends_early_is_an_error_and_leaves_nothing(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")
    service.inject(Fault("build", EndsAfter(170)))

    async with client(service) as podman:
        before = await images(podman)
        with pytest.raises(ImageError, match="building Containerfile: the stream ends"):
            await build(podman, project, f"{FROM}RUN echo one\nRUN echo two\nRUN echo three\n")

        assert await images(podman) == before


async def test_an_image_is_made_anew_when_the_name_of_its_base_is_another_image(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")
    service.image("localhost/other")

    async with client(service) as podman:
        first = await build(podman, project, f"{FROM}RUN echo one\n")
        assert (await build(podman, project, f"{FROM}RUN echo one\n")).id == first.id

        await podman.images.tag("localhost/other", "localhost/base", "latest")
        second = await build(podman, project, f"{FROM}RUN echo one\n")
        again = await build(podman, project, f"{FROM}RUN echo one\n")
        await podman.images.untag("localhost/base", "localhost/base", "latest")
        without = await build(podman, project, f"{FROM}RUN echo one\n")

    assert second.id != first.id
    assert second.key == first.key
    assert (again.id, again.executed) == (without.id, without.executed) == (second.id, 0)


async def test_a_build_whose_connection_breaks_is_no_image(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")
    service.inject(Fault("build", EndsAfter(100, cleanly=False)))

    async with client(service) as podman:
        with pytest.raises(EngineUnavailable, match=r"image 'app' for .*building Containerfile"):
            await build(podman, project, f"{FROM}RUN echo one\nRUN echo two\n")


async def test_a_build_on_a_service_that_dies_is_said(service: FakeService, project: Path) -> None:
    service.image("localhost/base")
    service.inject(Fault("build", Dies()))

    async with client(service) as podman:
        with pytest.raises(EngineUnavailable, match="building Containerfile"):
            await build(podman, project, f"{FROM}RUN echo one\n")


async def test_what_is_no_record_of_a_build_is_an_error(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")
    service.inject(Fault("build", Inserts(b"no json\n")))

    async with client(service) as podman:
        with pytest.raises(ImageError, match="podman sent 'no json'"):
            await build(podman, project, f"{FROM}RUN echo one\n")


async def test_a_full_disk_is_said_with_what_to_do(service: FakeService, project: Path) -> None:
    service.image("localhost/base")
    service.inject(Fault("build", Refuses("write /var/tmp/x: no space left on device")))

    async with client(service) as podman:
        with pytest.raises(ImageError, match="no space left on device") as caught:
            await build(podman, project, f"{FROM}RUN echo one\n")

    assert caught.value.hint is not None
    assert "image prune" in caught.value.hint


async def test_a_failing_step_of_the_fake_is_said_as_podmans(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")

    async with client(service) as podman:
        before = await images(podman)
        with pytest.raises(ImageError, match="step 3/3 RUN echo two; exit 7: failed with exit"):
            await build(podman, project, f"{FROM}RUN echo one\nRUN echo two; exit 7\n")

        assert await images(podman) == before


async def test_what_is_built_anew_leaves_a_name_to_what_was_there(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")

    async with client(service) as podman:
        first = await build(podman, project, f"{FROM}RUN true\n")
        second = await build(podman, project, f"{FROM}RUN true\n", cache=False)

        found = await images(podman)
    assert found[second.id].repo_tags[0].startswith("localhost/barasync/app:")
    assert found[first.id].repo_tags == [f"localhost/barasync/step:{first.id[:16]}"]


async def test_what_is_built_without_a_network_is_another_image(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")
    text = f"{FROM}RUN true\n"

    async with client(service) as podman:
        first = await build(podman, project, text)
        second = await build(podman, project, text, network=ImageNetwork.NONE)
        again = await build(podman, project, text)

    assert second.id != first.id == again.id
    assert (second.executed, again.executed) == (1, 0)


async def test_a_step_that_takes_too_long_is_given_up_and_leaves_nothing(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")
    text = f"{FROM}RUN sleep 60\n"

    async with client(service) as podman:
        before = await images(podman)
        with pytest.raises(ImageError) as caught:
            await build(podman, project, text, timeout=0.5)
        left = await images(podman)

    where = f"image 'app' for {NATIVE}: Containerfile: step 2/2 RUN sleep 60:"
    ended = "was given up; podman goes on with it until it ends"
    assert str(caught.value).startswith(f"{where} took longer than 0.5 s and {ended}\n")
    assert caught.value.hint is not None
    assert "`timeout` of [images.app]" in caught.value.hint
    assert left == before


@pytest.mark.parametrize(
    ("base", "how", "said"),
    [
        (
            "docker://silent.example/before",
            Registries(environ={}, silent_before=0.2),
            "its registry answers nothing, for 0.2 s: asking the registry",
        ),
        (
            "docker://silent.example/amid",
            Registries(environ={}, silent_amid=0.2),
            "nothing new of the transfer with its registry, for 0.2 s: 1 layer begun",
        ),
    ],
    ids=["before", "amid"],
)
async def test_a_base_whose_registry_falls_silent_is_given_up(
    service: FakeService, project: Path, base: str, how: Registries, said: str
) -> None:
    async with client(service) as podman:
        with anyio.fail_after(10), pytest.raises(ImageError) as caught:
            await build(podman, project, f"FROM {base}\nRUN true\n", timeout=0, registries=how)
        left = await images(podman)

    where = f"image 'app' for {NATIVE}: Containerfile: step 1/2 FROM {base}:"
    assert str(caught.value) == f"{where} {said}"
    assert "look at the registry" in (caught.value.hint or "")
    assert left == {}


async def test_how_long_a_step_may_take_makes_no_other_image_of_it(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")

    async with client(service) as podman:
        built = await build(podman, project, f"{FROM}RUN true\n", timeout=60)
        again = await build(podman, project, f"{FROM}RUN true\n", timeout=0)

    assert (again.id, again.executed) == (built.id, 0)


async def test_a_line_that_does_not_end_is_kept_and_hides_nothing_of_podmans(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")

    async with client(service) as podman:
        before = await images(podman)
        with pytest.raises(ImageError) as caught:
            await build(podman, project, f"{FROM}RUN printf one\nRUN printf two; exit 7\n")

        assert await images(podman) == before
    assert "\n  two\n  log: " in str(caught.value)
    log = anyio.Path(project.parent / "logs" / f"app-{NATIVE.architecture}.log")
    assert "==> step 2/3 RUN printf one\none\n==> step 3/3" in await log.read_text()


@pytest.mark.parametrize(
    "printed", ["left", f"STEP 9/9: x\\n--> Using cache {'1f3a' * 16}\\n"], ids=["open", "forged"]
)
async def test_what_a_step_prints_is_not_taken_for_podmans(
    service: FakeService, project: Path, printed: str
) -> None:
    service.image("localhost/base")

    async with client(service) as podman:
        before = await images(podman)
        with pytest.raises(ImageError, match="step 3/3 RUN exit 7: failed with exit code 7"):
            await build(podman, project, f"{FROM}RUN printf '{printed}'\nRUN exit 7\n")
        assert await images(podman) == before

        built = await build(podman, project, f"{FROM}RUN printf '{printed}'\n")

    assert built.executed == 1
    assert built.log is not None
    text = await anyio.Path(built.log).read_text()
    assert text.count("\n" + printed.replace("\\n", "\n")) == 2, "both builds have it in their log"


async def test_an_image_for_another_platform_than_asked_for_is_refused(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base", RISCV.architecture)

    async with client(service) as podman:
        before = await images(podman)
        with pytest.raises(WrongPlatform, match="makes an image for linux/riscv64"):
            await build(podman, project, f"{FROM}RUN true\n")

        assert await images(podman) == before
    assert service.requests.count("build") == 1


async def test_an_image_of_cached_steps_is_refused_when_it_is_no_other_without_the_cache(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base", RISCV.architecture)
    steps = [f"STEP 1/2: {FROM}", "STEP 2/2: COPY Containerfile /x\n"]
    records = [json.dumps({"stream": text}).encode() + b"\n" for text in steps]
    cached = json.dumps({"stream": f"--> Using cache {'a' * 64}\n"}).encode() + b"\n"
    at = sum(map(len, records))
    service.inject(Fault("build", Inserts(cached, at), times=1))

    async with client(service) as podman:
        before = await images(podman)
        with pytest.raises(WrongPlatform, match="makes an image for linux/riscv64"):
            await build(podman, project, f"{FROM}COPY Containerfile /x\n")

        assert await images(podman) == before
    assert service.requests.count("build") == 2


async def test_an_instruction_that_podman_does_not_know_is_said_without_gos_words(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")

    async with client(service) as podman:
        with pytest.raises(ImageError) as caught:
            await build(podman, project, f"{FROM}COPPY a /x\n")

    assert str(caught.value).endswith('COPPY a /x: Build error: Unknown instruction: "COPPY"')


async def test_control_characters_of_a_containerfile_do_not_reach_a_terminal(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")
    said: list[str] = []

    async with client(service) as podman:
        with pytest.raises(ImageError, match="failed with exit code 3") as script:
            await build(podman, project, f"{FROM}RUN : '\x1b]0;x\x07'; exit 3\n", said=said)
        with pytest.raises(ImageError, match="no such file") as copy:
            await build(podman, project, f"{FROM}COPY gone\x1b[31m /x\n", said=said)

    for text in (*said, str(script.value), str(copy.value)):
        assert "\x1b" not in text
        assert "\x07" not in text


async def test_what_the_cache_has_for_another_platform_is_built_anew(
    service: FakeService, project: Path
) -> None:
    text = "FROM scratch\nCOPY Containerfile /file\n"
    said: list[str] = []

    async with client(service) as podman:
        others = await build(podman, project, text, platform=RISCV)
        built = await build(podman, project, text, said=said)
        found = await build(podman, project, text)
        kept = {image.id: image.repo_tags for image in await podman.images.list(all=True)}
        made = await podman.images.inspect(built.id)

    assert made.architecture == NATIVE.architecture
    assert "podman's cache has steps for linux/riscv64: building again without it" in said
    assert found.id == built.id
    assert found.executed == 0
    assert kept.keys() == {others.id, built.id}
    assert all(kept.values())


@pytest.mark.parametrize(
    "operation", ["manifest-create", "manifest-add", "image-tag"], ids=lambda name: name
)
async def test_a_list_that_cannot_be_made_leaves_the_old_one(
    service: FakeService, operation: str
) -> None:
    native = service.image("localhost/a", NATIVE.architecture)
    other = service.image("localhost/b", RISCV.architecture)
    async with client(service) as podman:
        await publish(podman, NAME, {NATIVE: native})
        before = await images(podman)
        service.inject(Fault(operation, Refuses("no space left on device")))

        with pytest.raises(ImageError, match=f"{NAME}: no space left on device"):
            await publish(podman, NAME, {NATIVE: native, RISCV: other})

        assert await images(podman) == before


async def test_a_list_that_is_given_up_leaves_the_old_one_and_no_draft(
    service: FakeService,
) -> None:
    native = service.image("localhost/a", NATIVE.architecture)
    other = service.image("localhost/b", RISCV.architecture)
    async with client(service) as podman:
        await publish(podman, NAME, {NATIVE: native})
        before = await images(podman)
        service.inject(Fault("manifest-add", Hangs()))

        with anyio.move_on_after(0.3) as scope:
            await publish(podman, NAME, {NATIVE: native, RISCV: other})

        assert scope.cancelled_caught
        assert await images(podman) == before


async def test_a_list_on_a_service_that_dies_is_said(service: FakeService) -> None:
    native = service.image("localhost/a", NATIVE.architecture)
    service.inject(Fault("manifest-add", Dies()))

    async with client(service) as podman:
        with pytest.raises(EngineUnavailable, match=f"naming the images for 1 platform.*{NAME}"):
            await publish(podman, NAME, {NATIVE: native})


async def test_what_is_no_file_is_left_out_of_a_context_with_a_note(
    service: FakeService, project: Path
) -> None:
    service.image("localhost/base")
    os.mkfifo(project / "pipe")
    said: list[str] = []

    async with client(service) as podman:
        await build(podman, project, f"{FROM}COPY Containerfile /x\n", said=said)

    assert said[0] == "note: Containerfile: left out pipe: sockets, pipes or devices"
