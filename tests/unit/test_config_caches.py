"""Caches as people write them."""

from __future__ import annotations

import re

import pytest

from barasync.config.caches import Cache, CacheMode, parse_cache


@pytest.mark.parametrize(
    ("text", "cache"),
    [
        ("cargo:/var/cargo", Cache("cargo", "/var/cargo", CacheMode.LOCK)),
        ("cargo:/var/cargo:lock", Cache("cargo", "/var/cargo", CacheMode.LOCK)),
        ("pip.2_a-b://c/./d/:cow", Cache("pip.2_a-b", "/c/d", CacheMode.COW)),
    ],
)
def test_a_cache_has_a_name_a_destination_and_a_mode(text: str, cache: Cache) -> None:
    assert parse_cache(text) == cache


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a cache; write 'NAME:DESTINATION'"),
        ("cargo", "is not a cache"),
        ("cargo:", "is not a cache"),
        (":/c", "is not a cache"),
        ("cargo:/c:", "is not a cache"),
        ("cargo:/c:cow:lock", "is not a cache"),
        ("ca\0rgo:/c", "is not a cache"),
        ("/srv/cargo:/c", "'/srv/cargo' cannot name a cache"),
        ("Cargo:/c", "'Cargo' cannot name a cache"),
        ("-c:/c", "'-c' cannot name a cache"),
        ("a" * 65 + ":/c", "cannot name a cache; up to 64"),
        ("cargo:c", "the destination 'c' is not an absolute path"),
        ("cargo:/", "the destination is the container's root"),
        ("cargo:/c:lok", "unknown mode 'lok'; did you mean 'lock'?; the modes are lock, cow"),
        ("cargo:/c:ro", "unknown mode 'ro'"),
        ("cargo:/proc", "podman itself mounts /proc in every container"),
        ("cargo:/sys/fs:cow", "podman itself mounts /sys"),
        ("cargo:/dev/", "podman itself mounts /dev"),
        ("cargo:/run/secrets/cargo", "podman itself mounts /run/secrets"),
        ("cargo:/etc/hosts", "podman itself mounts /etc/hosts"),
    ],
)
def test_what_is_no_cache_is_refused_with_the_part_that_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_cache(text)
