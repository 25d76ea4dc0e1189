"""What is no project, however it is called."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path

import pytest

from barasync.cli.project import refuse_a_whole_home
from barasync.errors import ConfigError


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two accounts: mine, and one of somebody else who has a home of that name."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "else/project").mkdir(parents=True)
    mine = account("me", os.getuid(), tmp_path / "mine")
    other = account("else", os.getuid() + 1, tmp_path / "else")
    nobody = account("nobody", os.getuid() + 2, Path("/nonexistent"))
    by_number = {entry.pw_uid: entry for entry in (mine, other)}
    monkeypatch.setattr(pwd, "getpwuid", by_number.__getitem__)
    monkeypatch.setattr(pwd, "getpwall", lambda: [other, nobody])
    return tmp_path


def account(name: str, number: int, home: Path) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", number, number, "", str(home), "/bin/sh"))


def refused(directory: Path, home: str | None = None) -> bool:
    try:
        refuse_a_whole_home(directory, home)
    except ConfigError as error:
        assert str(error).startswith(f"{directory.resolve()} would go into every cell")  # noqa: PT017
        return True
    return False


def test_the_home_of_the_environment_and_the_root_are_refused(accounts: Path) -> None:
    (accounts / "home/project").mkdir(parents=True)

    assert refused(Path("/"))
    assert refused(accounts / "home", str(accounts / "home"))
    assert refused(accounts / "home/project/..", str(accounts / "home"))
    assert not refused(accounts / "home/project", str(accounts / "home"))
    assert not refused(accounts / "home", "/nonexistent")
    assert not refused(accounts / "home", "")


def test_the_homes_of_other_accounts_are_refused_whatever_the_environment_says(
    accounts: Path,
) -> None:
    """As under sudo, which may set HOME to /root."""
    assert refused(accounts / "else", "/root")
    assert not refused(accounts / "else/project", "/root")


def test_the_home_of_the_owner_is_refused_where_accounts_are_not_listed(accounts: Path) -> None:
    assert refused(accounts / "mine")


def test_a_link_to_a_home_is_one(accounts: Path) -> None:
    (accounts / "link").symlink_to("else")

    assert refused(accounts / "link")


def test_an_owner_without_an_account_is_nobody(
    accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pwd, "getpwuid", dict[int, pwd.struct_passwd]().__getitem__)

    assert not refused(accounts / "else/project")


def test_no_home_is_looked_at_that_has_another_name(
    accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[Path] = []
    monkeypatch.setattr(Path, "is_dir", lambda path: looked_at.append(path) or path.exists())

    refuse_a_whole_home(accounts / "else/project", None)

    assert looked_at == [Path("/"), accounts / "mine"]


@pytest.mark.parametrize("home", ["/locked/home", None])
def test_a_home_that_may_not_be_looked_at_is_another_place(
    accounts: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    """As below a directory that only its owner may search: root may search any."""
    is_dir = Path.is_dir

    def look(path: Path) -> bool:
        if path.is_relative_to("/locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", look)
    theirs = account("they", os.getuid() + 3, Path("/locked/project"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [theirs])

    assert not refused(accounts / "else/project", home)
