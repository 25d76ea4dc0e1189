from __future__ import annotations

from pathlib import PurePath

import pytest

from barasync.config.volumes import Volume, anchor_volume, parse_volume


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("/srv/data:/data", Volume("/srv/data", "/data")),
        ("./data:/data", Volume("./data", "/data")),
        ("../data:/data", Volume("../data", "/data")),
        (".:/data", Volume(".", "/data")),
        ("cache:/var/cargo", Volume("cache", "/var/cargo")),
        ("cache.2_a-b:/c:ro", Volume("cache.2_a-b", "/c", ("ro",))),
        ("/a:/b:ro,Z", Volume("/a", "/b", ("ro", "Z"))),
        ("/a://b/./c/", Volume("/a", "/b/c")),
    ],
)
def test_a_volume_has_a_source_a_destination_and_options(text: str, volume: Volume) -> None:
    assert parse_volume(text) == volume


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a volume"),
        ("/a", "is not a volume"),
        ("/a:", "is not a volume"),
        (":/a", "is not a volume"),
        ("/a:/b:", "is not a volume"),
        ("/a:/b:ro:rw", "is not a volume"),
        ("/a\0:/b", "is not a volume"),
        ("~/a:/b", "the source '~/a' is neither a path"),
        ("a/b:/c", "the source 'a/b' is neither a path"),
        ("-a:/c", "the source '-a' is neither a path"),
        ("/a:b", "the destination 'b' is not an absolute path"),
        ("/a:/", "the destination is the container's root"),
        ("/a:/b/..", "the destination is the container's root"),
        ("/a:/b:noexe", "unknown option 'noexe'; did you mean 'noexec'"),
        ("/a:/b:ro,", "unknown option ''"),
    ],
)
def test_a_wrong_volume_says_which_part_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_volume(text)


@pytest.mark.parametrize(
    ("text", "anchored"),
    [
        ("/a:/b", "/a:/b"),
        ("cache:/b:ro", "cache:/b:ro"),
        ("./a:/b", "/project/folder/a:/b"),
        (".:/b:ro,Z", "/project/folder:/b:ro,Z"),
        ("../a:/b", "/project/a:/b"),
        ("..:/b/", "/project:/b"),
    ],
)
def test_a_relative_source_starts_at_the_folder(text: str, anchored: str) -> None:
    assert anchor_volume(text, PurePath("/project/folder")) == anchored


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        (None, "a relative source has no folder to start at here"),
        (PurePath("/a:b"), "the source '/a:b/c' has a ':', which ends a source"),
    ],
)
def test_a_source_that_cannot_be_made_absolute_is_refused(
    folder: PurePath | None, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        anchor_volume("./c:/d", folder)


@pytest.mark.parametrize("destination", ["/proc", "/dev/shm", "/run/secrets", "/etc/resolv.conf"])
def test_only_a_directory_of_the_host_may_take_a_place_of_podmans(destination: str) -> None:
    assert parse_volume(f"/host:{destination}").destination == destination
    with pytest.raises(ValueError, match="podman itself mounts /"):
        parse_volume(f"name:{destination}")
