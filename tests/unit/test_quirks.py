from __future__ import annotations

from pathlib import Path

import pytest

from barasync.aiopodman import Quirk, quirks
from barasync.aiopodman.errors import ProtocolError
from barasync.aiopodman.version import PodmanVersion, Release, negotiate

TESTS = Path(__file__).parents[1]


def names(version: str) -> set[str]:
    return {quirk.name for quirk in quirks.active(negotiate(version))}


def test_the_podman_of_debian_12_has_every_trap_that_did_not_begin_later() -> None:
    assert names("4.3.1") == {quirk.name for quirk in quirks.QUIRKS if quirk.since is None}


def test_the_podman_of_debian_13_has_none_that_was_fixed() -> None:
    fixed = {quirk.name for quirk in quirks.QUIRKS if quirk.fixed is not None}

    assert not names("5.4.2") & fixed
    assert {"attach-reinitialises", "dead-monitor-looks-alive"} <= names("5.4.2")


@pytest.mark.parametrize("quirk", quirks.QUIRKS, ids=lambda quirk: quirk.name)
def test_every_row_is_named_by_a_test(quirk: Quirk) -> None:
    """On real podmans where the trap can be sprung at will."""
    folder = TESTS / ("contract" if quirk.on_demand else "unit")
    beginning = f"def test_{quirk.name.replace('-', '_')}__"

    assert any(beginning in file.read_text() for file in folder.glob("test_*.py"))


@pytest.mark.parametrize("quirk", [q for q in quirks.QUIRKS if q.fixed], ids=lambda q: q.name)
def test_a_trap_is_gone_in_the_release_that_fixed_it(quirk: Quirk) -> None:
    assert quirk.fixed is not None
    major, minor, patch = quirk.fixed
    before = (
        (major, minor, patch - 1)
        if patch
        else (major, minor - 1, 99)
        if minor
        else (major - 1, 99, 0)
    )

    assert quirk.is_active(before)
    assert not quirk.is_active(quirk.fixed)


def test_a_trap_may_begin_with_a_release() -> None:
    quirk = Quirk(
        name="x", trap="x", workaround="x", evidence="x", since=(5, 0, 0), fixed=(5, 1, 0)
    )

    assert [quirk.is_active(release) for release in [(4, 9, 9), (5, 0, 0), (5, 1, 0)]] == [
        False,
        True,
        False,
    ]


def test_names_are_unique_and_every_row_says_what_to_do() -> None:
    assert len({quirk.name for quirk in quirks.QUIRKS}) == len(quirks.QUIRKS)
    assert all(quirk.trap and quirk.workaround and quirk.evidence for quirk in quirks.QUIRKS)
    assert all(
        getattr(quirks, quirk.name.upper().replace("-", "_")) in quirks.QUIRKS
        for quirk in quirks.QUIRKS
    )


@pytest.mark.parametrize(
    ("header", "release", "api"),
    [
        ("4.3.1", (4, 3, 1), "v4.3.1"),
        ("5.4.2", (5, 4, 2), "v5.4.2"),
        ("4.0.0", (4, 0, 0), "v4.0.0"),
        ("5.0.0-dev", (5, 0, 0), "v5.0.0"),
        ("4.9.4-rhel", (4, 9, 4), "v4.9.4"),
        ("5.6", (5, 6, 0), "v5.6.0"),
        ("5.8.7", (5, 8, 7), "v5.8.0"),
        ("6.1.0", (6, 1, 0), "v5.8.0"),
    ],
)
def test_the_api_is_the_servers_or_the_newest_known(
    header: str, release: Release, api: str
) -> None:
    assert negotiate(header) == PodmanVersion(release, api)


def test_a_version_reads_like_a_release() -> None:
    assert str(negotiate("5.0.0-dev")) == "5.0.0"


def test_a_server_before_4_is_too_old() -> None:
    with pytest.raises(ProtocolError, match=r"podman 3\.4\.4 is too old: version 4\.0\.0 or newer"):
        negotiate("3.4.4")


@pytest.mark.parametrize("header", ["", "latest", "5", "5.x"])
def test_a_header_that_is_no_version_is_an_error(header: str) -> None:
    with pytest.raises(ProtocolError, match="which is not a version"):
        negotiate(header)
