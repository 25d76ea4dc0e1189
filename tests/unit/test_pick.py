from __future__ import annotations

import os
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from barasync.errors import ConfigError
from barasync.workspace.archive import pack
from barasync.workspace.pick import Picked, look, pick


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a directory of everything, and a secret beside it."""
    project = tmp_path / "project"
    (project / "src/deep").mkdir(parents=True)
    (project / "src/deep/file").write_text("text")
    (project / "src/link").symlink_to("deep/file")
    (project / "src/.git").mkdir()
    (project / "src/.git/config").write_text("")
    (project / "src/.barasync/runs").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    return project


def picked(project: Path, source: str = "src") -> Picked:
    return pick(project, source, checkpoint=lambda: None)


def paths(picked: Picked) -> list[str]:
    return [entry.path for entry in picked.entries]


def test_a_directory_comes_with_everything_but_what_barasync_keeps(project: Path) -> None:
    found = picked(project)

    assert paths(found) == [
        "src",
        "src/.git",
        "src/.git/config",
        "src/deep",
        "src/deep/file",
        "src/link",
    ]
    assert not found.is_file


def test_a_file_comes_alone(project: Path) -> None:
    found = picked(project, "src/deep/file")

    assert paths(found) == ["src/deep/file"]
    assert found.is_file


def test_the_whole_project_can_be_copied(project: Path) -> None:
    found = picked(project, ".")

    assert paths(found)[:2] == ["", "src"]


def test_a_source_that_is_a_link_inside_is_what_it_leads_to(project: Path) -> None:
    (project / "to-dir").symlink_to("src/../src/deep")
    (project / "to-file").symlink_to("to-dir/file")

    assert picked(project, "to-dir").start == "src/deep"
    assert picked(project, "to-file").start == "src/deep/file"
    assert picked(project, "to-file").is_file
    assert picked(project, "to-dir/file").start == "src/deep/file"


@pytest.mark.parametrize(
    "target", ["../secret", "..", "src/../../secret", "/etc/passwd", "src/deep/../../../secret"]
)
def test_a_link_that_leads_out_is_refused_wherever_it_is(project: Path, target: str) -> None:
    (project / "out").symlink_to(target)

    with pytest.raises(ConfigError, match="leads out of the project"):
        picked(project, "out")
    with pytest.raises(ConfigError, match="leads out of the project"):
        picked(project, "out/further")


def test_an_absolute_link_is_refused_even_if_it_leads_back(project: Path) -> None:
    (project / "back").symlink_to(project / "src")

    with pytest.raises(ConfigError, match=r"back is a link to /.*/src"):
        picked(project, "back")


def test_a_path_that_leads_out_is_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"copy \.\./secret leads out of the project"):
        picked(project, "../secret")


def test_links_in_a_circle_are_refused(project: Path) -> None:
    (project / "a").symlink_to("b")
    (project / "b").symlink_to("a")

    with pytest.raises(ConfigError, match="links lead round in a circle"):
        picked(project, "a")


def test_what_is_not_there_is_said(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"copy src/none: .*none cannot be read: No such file"):
        picked(project, "src/none")


def test_a_pipe_cannot_be_copied_and_is_skipped_below(project: Path) -> None:
    os.mkfifo(project / "src/pipe")

    assert picked(project).skipped == ("src/pipe",)
    with pytest.raises(ConfigError, match="neither a file nor a directory"):
        picked(project, "src/pipe")


@pytest.mark.parametrize("source", ["out", "out/further", "src/none", "src/pipe", "../secret"])
def test_a_look_refuses_what_cannot_be_picked_in_the_same_words(project: Path, source: str) -> None:
    (project / "out").symlink_to("../secret")
    os.mkfifo(project / "src/pipe")
    look(project, ["src", ".", "src/deep/file"])

    with pytest.raises(ConfigError) as picking:
        picked(project, source)
    with pytest.raises(ConfigError) as looking:
        look(project, ["src", source])

    assert str(looking.value) == str(picking.value)


def test_the_digest_is_the_same_for_the_same_content_at_other_times_and_places(
    project: Path,
) -> None:
    before = picked(project).digest
    os.utime(project / "src/deep/file", (1, 1))
    os.utime(project / "src", (1, 1))
    (project / "src").chmod(0o700)
    (project / "src").rename(project / "moved")

    assert picked(project, "moved").digest == before


@pytest.mark.parametrize("change", ["name", "mode", "bytes", "target", "kind", "empty directory"])
def test_the_digest_tells_every_difference(project: Path, change: str) -> None:
    before = picked(project).digest
    file, link = project / "src/deep/file", project / "src/link"
    match change:
        case "name":
            file.rename(project / "src/deep/other")
        case "mode":
            file.chmod(0o755)
        case "bytes":
            file.write_text("tixt")
        case "target":
            link.unlink()
            link.symlink_to("deep/fire")
        case "kind":
            link.unlink()
            link.write_text("deep/file")
        case _:
            (project / "src/deep/new").mkdir()

    assert picked(project).digest != before


def test_an_archive_has_what_was_picked_under_another_name(project: Path) -> None:
    found = picked(project, "src/deep")

    def names(name: str) -> list[str]:
        entries = found.entries if name else found.entries[1:]
        data = b"".join(pack(found.root, entries, name, start=found.start))
        with tarfile.open(fileobj=BytesIO(data)) as tar:
            return tar.getnames()

    assert names("place") == ["place", "place/file"]
    assert names("") == ["file"]


def test_an_absolute_source_lies_outside_of_the_project_and_its_links_are_followed(
    project: Path,
) -> None:
    (project.parent / "to").symlink_to("secret")

    look(project, [f"{project.parent}/to", f"{project.parent}/project/src"])
    found = picked(project, f"{project.parent}/to")

    assert (found.root, paths(found), found.is_file) == (project.parent, ["secret"], True)


def test_an_absolute_source_that_is_not_there_is_named(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/file cannot be read: No such file"):
        look(project, ["/nowhere/file"])
