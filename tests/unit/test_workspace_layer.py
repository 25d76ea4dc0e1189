"""Making the workspace layer, against a podman that only remembers what it was asked."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import anyio
import pytest

from barasync.aiopodman import (
    APIError,
    ConnectError,
    ContainerSpec,
    ImageInspect,
    ImageSummary,
    NotFound,
    Podman,
    PodmanError,
    ServerError,
)
from barasync.errors import BarasyncError, ConfigError, EngineUnavailable, ImageError
from barasync.matrix.platforms import Platform
from barasync.workspace.layer import ensure_layer, layer_key, layers
from barasync.workspace.scan import scan
from barasync.workspace.tree import Tree
from tests.unit.projects import write

pytestmark = pytest.mark.anyio
BASE = "b" * 64
LAYER = "1" * 64
ARM64 = Platform("arm64")
RUN = {"barasync.run": "r1", "barasync.pid": "42"}
MAKER = {"barasync.maker.run": "r1", "barasync.maker.pid": "42"}


def refusal(cause: str) -> APIError:
    return ServerError(status=500, cause=cause, message=cause, method="POST", path="/x")


@dataclass
class FakePodman:
    """Stands for the client, its collections and its one container.

    `failures` maps a step (`inspect`, `create`, `put`, `commit`, `remove`) to what it raises;
    `hold` is called within each step.
    """

    known: list[ImageSummary] = field(default_factory=list)
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    hold: Callable[[str], None] = lambda _: None
    steps: list[str] = field(default_factory=list)
    specs: list[ContainerSpec] = field(default_factory=list)
    archive: bytes = b""
    committed: tuple[str, str, tuple[str, ...], bool] | None = None
    id: str = "c" * 64

    @property
    def images(self) -> FakePodman:
        return self

    @property
    def containers(self) -> FakePodman:
        return self

    async def _step(self, name: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.steps.append(name)
        self.hold(name)
        if self.failures.get(name):
            raise self.failures[name].pop(0)

    async def list(self, *, labels: Mapping[str, str | None]) -> list[ImageSummary]:
        assert labels == {"barasync.kind": "workspace"}
        return self.known

    async def inspect(self, reference: str) -> ImageInspect:
        await self._step("inspect")
        for image in self.known:
            if reference in image.repo_tags:
                return ImageInspect(id=image.id, labels=image.labels)
        said = "no such image"
        raise NotFound(status=404, cause=said, message=said, method="GET", path="/x")

    async def create(self, spec: ContainerSpec) -> FakePodman:
        await self._step("create")
        self.specs.append(spec)
        return self

    async def put_archive(self, path: str, chunks: AsyncIterable[bytes]) -> None:
        assert path == "/"
        async for chunk in chunks:
            self.archive += chunk
        await self._step("put")

    async def commit(
        self, *, repository: str, tag: str, changes: Sequence[str], pause: bool
    ) -> str:
        await self._step("commit")
        self.committed = (repository, tag, tuple(changes), pause)
        return LAYER

    async def remove(self, **how: object) -> None:
        assert how == {"force": True, "timeout": 0, "volumes": True, "dependents": True}
        await self._step("remove")


async def make(podman: FakePodman, tree: Tree) -> str:
    return await ensure_layer(
        cast("Podman", podman), image_id=BASE, platform=ARM64, tree=tree, labels=RUN, maker=MAKER
    )


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return scan(write(tmp_path / "project", {"a": "1", "d/b": b"2" * 700_000}))


async def test_upload_refuses_links__a_layer_begins_with_a_directory_of_its_own(tree: Tree) -> None:
    podman = FakePodman()

    assert await make(podman, tree) == LAYER

    assert podman.steps == ["inspect", "create", "put", "commit", "remove"]
    with tarfile.open(fileobj=io.BytesIO(podman.archive)) as archive:
        assert archive.getnames() == ["workspace", "workspace/a", "workspace/d", "workspace/d/b"]


async def test_the_container_carries_the_labels_of_the_run_and_the_image_those_of_its_maker(
    tree: Tree,
) -> None:
    podman = FakePodman()
    await make(podman, tree)

    key = layer_key(BASE, tree)
    assert podman.specs[0].image == BASE
    assert podman.specs[0].labels == RUN
    assert podman.specs[0].command == ()
    assert podman.specs[0].no_volumes
    assert podman.committed == (
        "localhost/barasync/workspace",
        key[:16],
        (
            "LABEL barasync.run=",
            "LABEL barasync.pid=",
            "LABEL barasync.kind=workspace",
            f"LABEL barasync.key={key}",
            f"LABEL barasync.base={BASE}",
            "LABEL barasync.maker.run=r1",
            "LABEL barasync.maker.pid=42",
            "WORKDIR /workspace",
        ),
        False,
    )


async def test_a_layer_that_is_there_is_used_again_and_not_what_was_made_of_it(tree: Tree) -> None:
    key = layer_key(BASE, tree)
    name, labels = f"localhost/barasync/workspace:{key[:16]}", {"barasync.key": key}
    known = [
        ImageSummary(id="somebody's", repo_tags=["localhost/mine:1"], labels=labels),
        ImageSummary(id="ours", repo_tags=["localhost/also:1", name], labels=labels),
        ImageSummary(id="a twin without a name", labels=labels),
    ]
    podman = FakePodman(known=known)

    assert await make(podman, tree) == "ours"
    assert podman.steps == ["inspect"]


async def test_what_has_a_layers_name_and_not_its_key_is_none(tree: Tree) -> None:
    name = f"localhost/barasync/workspace:{layer_key(BASE, tree)[:16]}"
    podman = FakePodman(known=[ImageSummary(id="another", repo_tags=[name])])

    assert await make(podman, tree) == LAYER


def test_a_layer_is_for_one_image_and_one_tree(tree: Tree, tmp_path: Path) -> None:
    other = scan(write(tmp_path / "other", {"a": "2"}))

    keys = {layer_key(image, files) for image in (BASE, LAYER) for files in (tree, other)}

    assert len(keys) == 4


async def test_two_containers_for_one_layer_have_different_names(tree: Tree) -> None:
    podman = FakePodman()
    await make(podman, tree)
    await make(podman, tree)

    first, second = (spec.name for spec in podman.specs)
    assert first != second
    assert f"{first}".startswith(f"barasync-layer-{layer_key(BASE, tree)[:16]}-")


async def test_an_image_without_a_command_gets_none(tree: Tree) -> None:
    cause = "no command or entrypoint provided, and no CMD or ENTRYPOINT from image"
    podman = FakePodman(failures={"create": [refusal(cause)]})

    await make(podman, tree)

    assert podman.specs[0].command != ()
    assert podman.committed is not None
    assert podman.committed[2][-1] == "CMD []"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("inspect", "looking for it"),
        ("create", "creating a container"),
        ("put", "sending the files"),
        ("commit", "committing"),
    ],
)
@pytest.mark.parametrize(
    ("error", "kind"),
    [(refusal("no space left"), ImageError), (ConnectError("gone"), EngineUnavailable)],
)
async def test_a_step_that_fails_is_named_and_nothing_is_left(
    tree: Tree,
    step: str,
    words: str,
    error: PodmanError,
    kind: type[BarasyncError],
) -> None:
    podman = FakePodman(failures={step: [error]})

    with pytest.raises(kind) as caught:
        await make(podman, tree)

    assert "the workspace layer on image bbbbbbbbbbbb (linux/arm64)" in str(caught.value)
    assert f"{words}: {error}" in str(caught.value)
    made = step in {"put", "commit"}
    assert podman.steps[-1] == ("remove" if made else step)


async def test_a_file_that_changes_meanwhile_ends_it_and_nothing_is_left(tree: Tree) -> None:
    podman = FakePodman()
    (tree.root / "a").write_text("another")

    with pytest.raises(ConfigError, match="changed while it was read"):
        await make(podman, tree)

    assert podman.steps == ["inspect", "create", "remove"]


async def test_a_container_that_cannot_be_removed_does_not_spoil_the_layer(tree: Tree) -> None:
    podman = FakePodman(failures={"remove": [refusal("busy")]})

    assert await make(podman, tree) == LAYER


@pytest.mark.parametrize("step", ["create", "put", "commit"])
async def test_when_cancelled_the_container_is_removed(tree: Tree, step: str) -> None:
    with anyio.CancelScope() as scope:
        podman = FakePodman(hold=lambda name: scope.cancel() if name == step else None)
        await make(podman, tree)

    assert scope.cancelled_caught or step == "commit"
    assert podman.steps[-1] == "remove"


async def test_a_layer_that_is_cancelled_early_makes_no_container(tree: Tree) -> None:
    with anyio.CancelScope() as scope:
        podman = FakePodman(hold=lambda _: scope.cancel())
        await make(podman, tree)

    assert podman.steps == ["inspect"]


async def test_what_somebody_made_of_a_layer_is_not_a_layer() -> None:
    name = "localhost/barasync/workspace:0123456789abcdef"
    labels = {"barasync.kind": "workspace", "barasync.base": BASE}

    def image(key: str, parent: str, *names: str) -> ImageSummary:
        return ImageSummary(id=key, parent_id=parent, repo_tags=list(names), labels=labels)

    found = [
        image("named", BASE, name),
        image("the image below is gone", "", name),
        image("its twin has the name", BASE),
        image("made of it", LAYER, "localhost/mine:1"),
        image("made of it, no name", LAYER),
        image("made of one that is gone, no name", ""),
    ]

    listed = await layers(cast("Podman", FakePodman(known=found)))

    assert [each.id for each in listed] == [
        "named",
        "the image below is gone",
        "its twin has the name",
    ]
