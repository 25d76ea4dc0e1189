from __future__ import annotations

import io
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from barasync.config.origin import image_key
from barasync.config.schema import ImageNetwork, ImageTable
from barasync.engine.containerfile_context import Source, archive, read_source
from barasync.errors import ConfigError
from barasync.matrix.platforms import Platform, parse
from barasync.workspace.scan import scan
from barasync.workspace.tree import Tree

pytestmark = pytest.mark.anyio

AMD64, ARM64 = parse("amd64"), parse("arm64")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def read(project: Path, containerfile: str = "Containerfile", **table: Any) -> Source:
    async def tree() -> Tree:
        return await to_thread.run_sync(scan, project)

    declared = ImageTable(containerfile=containerfile, **table)
    return await read_source(project, tree, partial(image_key, {}, "app"), declared)


def write(project: Path, **files: str) -> None:
    for name, text in files.items():
        path = project / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def sent(source: Source) -> dict[str, bytes]:
    """What is in the archive, by path, without directories."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive(source)))) as tar:
        for member in tar:
            if member.isfile():
                file = tar.extractfile(member)
                assert file is not None
                found[member.name.removeprefix("./")] = file.read()
    return found


async def test_a_containerfile_among_the_files_is_sent_as_one_of_them(tmp_path: Path) -> None:
    write(tmp_path, Containerfile="FROM x", file="1")

    source = await read(tmp_path)

    assert (source.label, source.containerfile) == ("Containerfile", "Containerfile")
    assert sent(source) == {"Containerfile": b"FROM x", "file": b"1"}


async def test_one_that_lies_outside_is_sent_besides_and_kept_from_being_copied(
    tmp_path: Path,
) -> None:
    write(tmp_path, build__app="FROM x", sub__file="1")
    (tmp_path / "sub" / ".dockerignore").write_text("*.o")

    source = await read(tmp_path, "build/app", context="sub")

    assert source.containerfile == ".barasync/Containerfile"
    assert sent(source) == {
        ".barasync/Containerfile": b"FROM x",
        ".barasync/Containerfile.containerignore": b"*.o\n.barasync\n",
        "file": b"1",
    }


async def test_an_ignore_file_beside_the_containerfile_counts_first(tmp_path: Path) -> None:
    write(tmp_path, build__app="FROM x", sub__file="1")
    (tmp_path / "sub" / ".dockerignore").write_text("a")
    (tmp_path / "build" / "app.dockerignore").write_text("b")

    source = await read(tmp_path, "build/app", context="sub")

    assert sent(source)[".barasync/Containerfile.containerignore"] == b"b\n.barasync\n"


async def test_one_that_is_ignored_is_sent_besides(tmp_path: Path) -> None:
    write(tmp_path, Containerfile="FROM x", file="1")
    (tmp_path / ".barasyncignore").write_text("Containerfile\n")

    source = await read(tmp_path)

    assert sent(source)[".barasync/Containerfile"] == b"FROM x"


async def test_the_key_stands_for_the_files_the_containerfile_the_platform_and_the_network(
    tmp_path: Path,
) -> None:
    async def key(*words: str, platform: Platform = AMD64, **table: Any) -> str:
        return (await read(tmp_path, *words, **table)).key(platform)

    write(tmp_path, Containerfile="FROM x", build__app="FROM x", sub__file="1")
    keys = {await key(), await key(platform=ARM64), await key(network=ImageNetwork.NONE)}
    keys |= {await key("build/app"), await key("build/app", context="sub")}
    assert await key() == await key(network=ImageNetwork.BRIDGE)

    write(tmp_path, build__app="FROM y")
    keys.add(await key("build/app", context="sub"))
    write(tmp_path, sub__file="2")
    keys.add(await key("build/app", context="sub"))

    assert len(keys) == 7


async def test_what_leads_out_of_the_project_is_not_read(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "outside").write_text("FROM x")
    (project / "link").symlink_to("../outside")
    (project / "up").symlink_to("..")

    with pytest.raises(ConfigError, match=r"images\.app\.containerfile: link leads out"):
        await read(project, "link")
    with pytest.raises(ConfigError, match=r"images\.app\.context: up leads out"):
        await read(project, "link", context="up")


async def test_a_file_of_the_usual_name_is_pointed_at(tmp_path: Path) -> None:
    write(tmp_path, Dockerfile="FROM x")

    with pytest.raises(ConfigError, match="there is no file Containerfile") as caught:
        await read(tmp_path)

    assert caught.value.hint == "there is Dockerfile"
