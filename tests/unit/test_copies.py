"""`--copy`: what it means, what is taken along, and where it may go."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from barasync.config.copies import Copy, parse_copies
from barasync.config.schema import CellSettings, WorkspaceMode
from barasync.errors import ConfigError
from barasync.workspace.archive import pack
from barasync.workspace.copies import CopySource, read_copies
from barasync.workspace.destinations import mounted_in, refuse_covered
from barasync.workspace.tree import TreeChanged
from tests.unit.projects import Swap, write

TIME = 1_000_000_000


def go_on() -> None:
    pass


def read(source: Path, destination: str = "/opt/app") -> CopySource:
    (copied,) = read_copies([Copy(str(source), destination)], checkpoint=go_on)
    return copied


def members(copied: CopySource, name: str = "app") -> dict[str, tarfile.TarInfo]:
    archive = b"".join(pack(copied.root, copied.entries, name))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar}


@pytest.mark.parametrize(
    ("text", "source", "destination"),
    [
        ("src:/opt/app", "src", "/opt/app"),
        ("./a/src/:/opt/", "./a/src/", "/opt/src"),
        ("src:/opt//x/../app", "src", "/opt/app"),
        ("a:b:/c", "a:b", "/c"),
        ("f:/", "f", "/f"),
        (".:/opt/app", ".", "/opt/app"),
    ],
)
def test_a_copy_has_a_source_and_the_path_that_it_becomes(
    text: str, source: str, destination: str
) -> None:
    assert parse_copies([text]) == (Copy(source, destination),)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["src"], "'src' is not SRC:DST"),
        ([""], "'' is not SRC:DST"),
        ([":/x"], "':/x' is not SRC:DST"),
        (["src:"], "'src:' is not SRC:DST"),
        (["src:opt"], "DST is not an absolute path"),
        ([".:/opt/"], "SRC has no name of its own"),
        (["/:/opt/"], "SRC has no name of its own"),
        (["src:/.."], "DST is the container's root"),
        (["src:/."], "DST is the container's root"),
        (["src:/\udcff"], "DST is not UTF-8"),
        (["a:/x", "b:/y/../x"], "--copy: 'b:/y/../x': a is copied to /x already"),
        (["a:/x", "a:/x"], "a is copied to /x already"),
    ],
)
def test_what_is_no_copy_is_refused_by_its_words(texts: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_copies(texts)

    assert said in str(caught.value)


def test_everything_in_a_directory_comes_along_with_its_mode_and_time(tmp_path: Path) -> None:
    root = tmp_path / "src"
    for name in (".git", "empty", ".barasync", "private"):
        (root / name).mkdir(parents=True)
    (root / ".gitignore").write_text("*\n")
    (root / ".git/config").write_text("x")
    (root / "link").symlink_to("nowhere")
    (root / "tool").write_text("#!/bin/sh\n")
    (root / "tool").chmod(0o4755)
    (root / "private").chmod(0o700)
    for path in (*root.rglob("*"), root):
        os.utime(path, (TIME, TIME), follow_symlinks=False)

    found = members(read(root))

    assert list(found) == [
        "app",
        "app/.git",
        "app/.git/config",
        "app/.gitignore",
        "app/empty",
        "app/link",
        "app/private",
        "app/tool",
    ]
    assert {member.mtime for member in found.values()} == {TIME}
    assert found["app/tool"].mode == 0o4755
    assert found["app/private"].mode == 0o700
    assert found["app/link"].linkname == "nowhere"


def test_a_directory_that_becomes_a_link_lets_nothing_of_the_host_in(tmp_path: Path) -> None:
    write(tmp_path / "host", {"key": "HOST", "e/key": "HOST"})
    swaps, refused = 0, 0
    while True:
        root = tmp_path / f"src-{swaps}"
        write(root, {"d/e/key": "OURS", "d/key": "OURS", "z": ""})
        swap = Swap(root / "d", tmp_path / "host", at=swaps + 1)
        try:
            (copied,) = read_copies([Copy(str(root), "/opt/app")], checkpoint=swap)
            archive = b"".join(pack(copied.root, copied.entries, "app"))
            assert b"HOST" not in archive
        except ConfigError:
            refused += 1
        if swap.left:
            break
        swaps += 1

    assert 0 < refused < swaps


def test_a_file_becomes_the_place_and_a_link_is_followed_where_it_is_the_source(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")

    (name,) = members(copied := read(tmp_path / "link"))

    assert (name, copied.entries[0].size) == ("app", 4)


def test_sockets_and_pipes_are_left_out_and_named(tmp_path: Path) -> None:
    root = tmp_path / "src"
    root.mkdir()
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "sock"))
        copied = read(root)

    assert copied.skipped == ("pipe", "sock")
    assert list(members(copied)) == ["app"]


def test_a_source_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")

    for name, said in (
        ("missing", "missing cannot be read: No such file or directory"),
        ("loop", "loop cannot be read: Too many levels of symbolic links"),
        ("pipe", "pipe is neither a file nor a directory"),
    ):
        with pytest.raises(ConfigError) as caught:
            read(tmp_path / name)
        assert said in str(caught.value)
    with pytest.raises(ConfigError, match="SRC is the whole file system"):
        read(Path("/"))


def test_a_file_that_changed_since_it_was_looked_at_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    copied = read(tmp_path / "file")
    (tmp_path / "file").write_text("other")

    with pytest.raises(TreeChanged, match="changed while it was read"):
        members(copied)


@pytest.mark.parametrize(
    ("destination", "place"),
    [
        ("/data", "/data"),
        ("/data/in", "/data"),
        ("/", "/data"),
        ("/cache/x", "/cache"),
        ("/workspace", "/workspace"),
        ("/proc/x", "/proc"),
        ("/dev", "/dev"),
        ("/etc/hosts", "/etc/hosts"),
        ("/run/secrets/x", "/run/secrets"),
    ],
)
def test_what_a_mount_would_hide_is_refused(tmp_path: Path, destination: str, place: str) -> None:
    (tmp_path / "data").mkdir()
    settings = CellSettings(
        image="x",
        command=("true",),
        timeout=None,
        volumes=("volume:/data",),
        caches=("name:/cache:cow",),
        workspace=WorkspaceMode.OVERLAY,
    )

    with pytest.raises(ConfigError) as caught:
        refuse_covered([read(tmp_path, destination)], mounted_in(settings))

    assert str(caught.value).endswith(f"cannot be copied: something is mounted at {place}")


def test_what_lies_beside_a_mount_is_copied(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    refuse_covered([read(tmp_path, "/etc"), read(tmp_path, "/database")], ["/data", "/etc/other"])


def test_what_barasync_keeps_is_left_where_it_is(tmp_path: Path) -> None:
    write(tmp_path / "src", {"a": "a", ".barasync/runs/x": "x", "sub/.barasync/y": "y"})

    paths = [entry.path for entry in read(tmp_path / "src").entries]

    assert paths == ["", "a", "sub"]


@pytest.mark.parametrize("order", [1, -1])
def test_nothing_is_copied_below_a_file_that_is_copied(tmp_path: Path, order: int) -> None:
    write(tmp_path, {"f": "f", "d/g": "g"})
    copies = [Copy(str(tmp_path / "f"), "/x/f"), Copy(str(tmp_path / "d"), "/x/f/y/d")]

    with pytest.raises(ConfigError, match=r":/x/f makes /x/f a file, which has nothing below it"):
        read_copies(copies[::order], checkpoint=go_on)
    read_copies([Copy(str(tmp_path / "d"), "/x/f"), copies[1]], checkpoint=go_on)
