"""The modules of Bar.d in a project: installed whole, updated, and never over local changes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import barasync
from barasync import whole_file as whole_file_module
from barasync.cli import bar_install
from barasync.cli.bar_install import MODULES, Asked, State, find, install_modules, stamped
from barasync.errors import ConfigError
from barasync.whole_file import whole_file
from tests.rig.command import Barasync, Ended
from tests.rig.services import PROJECT

VERSION = barasync.__version__
OLD = b"# an old module\necho old\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    (directory / "Bar.d").mkdir(parents=True)
    return directory


def install(project: Path, *words: str, within: tuple[str, ...] = ()) -> Ended:
    """Run `barasync bar install` in a project, with no podman to be found."""
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "TERM": "dumb"}
    return Barasync(project, None, environ, within=within)("bar", "install", *words)


def contents(project: Path) -> dict[str, bytes]:
    """Return all that is in the project's directory of modules."""
    return {path.name: path.read_bytes() for path in (project / "Bar.d").iterdir()}


def shipped(name: str) -> bytes:
    return (PROJECT / "Bar.d" / name).read_bytes()


def current() -> dict[str, bytes]:
    return {name: stamped(shipped(name), VERSION) for name in MODULES}


def test_a_fresh_project_gets_both_modules_with_a_line_about_where_they_are_from(
    project: Path,
) -> None:
    ended = install(project)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "".join(f"Bar.d/{name}: installed {VERSION}\n" for name in MODULES)
    assert contents(project) == current()
    for name, text in contents(project).items():
        lines = text.splitlines()
        assert lines[1].startswith(f"# barasync {VERSION} ".encode())
        assert [lines[0], *lines[2:]] == shipped(name).splitlines()


def test_another_directory_is_named_and_each_of_bars_names_for_modules_is_found(
    tmp_path: Path,
) -> None:
    for name in ("Bar.d", "bar.d", ".Bar.d", ".bar.d"):
        place = tmp_path / f"project of {name}" / name
        place.mkdir(parents=True)

        ended = install(tmp_path, place.parent.name)

        assert ended.code == 0, ended.err
        assert sorted(path.name for path in place.iterdir()) == sorted(MODULES)


def test_again_it_is_current_and_nothing_is_written(project: Path) -> None:
    install(project)
    before = [
        (path.stat().st_ino, path.stat().st_mtime_ns) for path in (project / "Bar.d").iterdir()
    ]

    ended = install(project)

    assert ended.code == 0
    assert ended.out == "".join(f"Bar.d/{name}: current, {VERSION}\n" for name in MODULES)
    after = [
        (path.stat().st_ino, path.stat().st_mtime_ns) for path in (project / "Bar.d").iterdir()
    ]
    assert after == before


def test_what_an_older_barasync_installed_is_updated(project: Path) -> None:
    (project / "Bar.d/podman").write_bytes(stamped(OLD, "0.0.9"))

    ended = install(project)

    assert ended.code == 0
    assert f"Bar.d/podman: updated 0.0.9 → {VERSION}\n" in ended.out
    assert f"Bar.d/podman_rules: installed {VERSION}\n" in ended.out
    assert contents(project) == current()


def test_only_what_is_there_is_updated_if_that_is_asked_for(project: Path) -> None:
    (project / "Bar.d/podman").write_bytes(stamped(OLD, "0.0.9"))

    ended = install(project, "--update-only")

    assert ended.out == f"Bar.d/podman: updated 0.0.9 → {VERSION}\n"
    assert contents(project) == {"podman": current()["podman"]}


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (stamped(OLD, "0.0.9") + b"echo mine\n", "changed here, since 0.0.9"),
        (OLD, "not of barasync"),
        (b"", "not of barasync"),
        (stamped(OLD, "99.0.0"), f"of 99.0.0, newer than this barasync {VERSION}"),
    ],
    ids=["changed", "foreign", "empty", "newer"],
)
def test_what_was_changed_stays_and_nothing_is_written_until_that_is_forced(
    project: Path, there: bytes, said: str
) -> None:
    (project / "Bar.d/podman").write_bytes(there)

    refused = install(project)

    assert refused.code == 1
    assert f"Bar.d/podman: {said}\n" in refused.out
    assert f"Bar.d/podman_rules: would be installed {VERSION}\n" in refused.out
    assert "nothing was written, because of Bar.d/podman\n" in refused.err
    assert contents(project) == {"podman": there}

    forced = install(project, "--force")

    assert forced.code == 0
    assert f"Bar.d/podman: replaced by {VERSION}, the old one is .podman.orig\n" in forced.out
    assert contents(project) == {**current(), ".podman.orig": there}


def test_a_file_that_a_person_copied_is_as_good_as_installed(project: Path) -> None:
    (project / "Bar.d/podman").write_bytes(shipped("podman"))

    assert install(project).code == 0
    assert contents(project) == current()


def test_what_an_earlier_force_kept_is_not_overwritten(project: Path) -> None:
    (project / "Bar.d/podman").write_bytes(OLD)
    (project / "Bar.d/.podman.orig").write_bytes(b"precious\n")

    ended = install(project, "--force")

    assert ended.code == 2
    assert "Bar.d/.podman.orig is there already" in ended.err
    assert contents(project) == {"podman": OLD, ".podman.orig": b"precious\n"}


def test_what_an_earlier_force_kept_is_in_the_way_of_no_difference(project: Path) -> None:
    (project / "Bar.d/podman").write_bytes(OLD)
    (project / "Bar.d/.podman.orig").write_bytes(b"precious\n")

    shown = install(project, "--diff", "--force")

    assert shown.code == 0, shown.err
    assert "\n-echo old\n" in shown.out


def test_a_kept_one_that_cannot_be_read_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "Bar.d/podman").write_bytes(OLD)
    (project / "Bar.d/.podman.orig").write_bytes(OLD)
    read = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path.suffix == ".orig":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refused)
        with pytest.raises(ConfigError) as raised:
            install_modules(project, Asked(force=True))

    assert ".podman.orig cannot be read: Permission denied" in str(raised.value)


def test_a_second_module_that_cannot_be_written_leaves_the_first_as_it_was(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in MODULES:
        (project / "Bar.d" / name).write_bytes(OLD)

    @contextmanager
    def full(place: Path) -> Iterator[int]:
        if place.name == MODULES[1]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with whole_file(place) as descriptor:
            yield descriptor

    with monkeypatch.context() as patched:
        patched.setattr(bar_install, "whole_file", full)
        with pytest.raises(ConfigError) as raised:
            install_modules(project, Asked(force=True))

    assert f"{MODULES[1]} cannot be written: No space left on device" in str(raised.value)
    assert contents(project) == dict.fromkeys(MODULES, OLD)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.2.0", "0.2.0.dev3"),
        ("0.2.0", "0.2.0rc1"),
        ("0.2.0rc1", "0.2.0b7"),
        ("0.2.0.post1", "0.2.0"),
        ("0.10.0", "0.9.9"),
        ("0.2.0.dev10", "0.2.0.dev9"),
    ],
)
def test_a_version_that_comes_after_another_is_newer(one: str, other: str) -> None:
    assert find(stamped(OLD, one), OLD, other).state is State.NEWER
    assert find(stamped(OLD, other), OLD, one).state is State.OLDER


def test_a_difference_and_a_dry_run_are_shown_and_nothing_is_written(project: Path) -> None:
    (project / "Bar.d/podman").write_bytes(stamped(OLD, "0.0.9"))
    before = contents(project)

    shown = install(project, "--diff")
    told = install(project, "--dry-run")

    assert shown.code == told.code == 0
    assert shown.out.startswith("--- Bar.d/podman\n+++ Bar.d/podman of barasync ")
    assert "\n-echo old\n" in shown.out
    assert "+++ Bar.d/podman_rules of barasync" in shown.out
    assert f"Bar.d/podman: would be updated 0.0.9 → {VERSION}\n" in told.out
    assert contents(project) == before


def test_a_project_without_a_directory_for_modules_is_refused(tmp_path: Path) -> None:
    for words, said in [
        ((), f"{tmp_path} has no Bar.d\n  hint: copy bar and its own Bar.d here; `bar init`"),
        (("none-such",), "DIR: none-such is not a directory"),
    ]:
        ended = install(tmp_path, *words)
        assert ended.code == 2
        assert said in ended.err
    assert not list(tmp_path.iterdir())


def test_links_and_directories_are_not_written_through(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "podman").write_bytes(stamped(OLD, "0.0.9"))
    (project / "Bar.d/podman").symlink_to(elsewhere / "podman")
    (project / "bar.d").symlink_to(elsewhere)

    of_a_file = install(project, "--force")
    (project / "Bar.d/podman").unlink()
    (project / "Bar.d/podman").mkdir()
    of_a_directory = install(project, "--force")
    (project / "Bar.d/podman").rmdir()
    (project / "Bar.d").rmdir()
    of_modules = install(project, "--force")

    assert [of_a_file.code, of_a_directory.code, of_modules.code] == [2, 2, 2]
    assert "Bar.d/podman is not a regular file" in of_a_file.err
    assert "Bar.d/podman is not a regular file" in of_a_directory.err
    assert "bar.d is a link" in of_modules.err
    assert (elsewhere / "podman").read_bytes() == stamped(OLD, "0.0.9")


def test_a_directory_that_cannot_be_written_is_said(project: Path) -> None:
    within: tuple[str, ...] = ()
    if os.getuid() == 0:
        script = f'mount --bind "{project}" "{project}"; mount -o remount,ro,bind "{project}"'
        within = ("unshare", "--mount", "sh", "-ec", f'{script}; cd "{project}"; exec "$@"', "sh")
    else:
        (project / "Bar.d").chmod(0o555)

    ended = install(project, within=within)

    assert ended.code == 2
    assert "Bar.d/podman cannot be written: " in ended.err
    assert contents(project) == {}


_KILLED = """
import os, signal, sys
from pathlib import Path
from barasync.cli import bar_install, places
rename, left = os.rename, [int(sys.argv[1])]
def counted(*args, **kwargs):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    rename(*args, **kwargs)
places.os.rename = counted
bar_install.install_modules(Path(), bar_install.Asked(force=True))
"""


@pytest.mark.parametrize("renamed", range(4))
def test_who_is_killed_leaves_each_module_old_or_new_and_the_next_call_does_the_rest(
    project: Path, renamed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = dict.fromkeys(MODULES, OLD)
    for name in MODULES:
        (project / "Bar.d" / name).write_bytes(OLD)

    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(renamed)], cwd=project, check=False, capture_output=True
    )

    assert killed.returncode == -9
    left = contents(project)
    assert {name: left[name] in {OLD, current()[name]} for name in old} == dict.fromkeys(old, True)
    assert install(project, "--force").code == 0
    kept = {f".{name}.orig": OLD for name in MODULES}
    after = {name: text for name, text in contents(project).items() if "partial" not in name}
    assert after == {**current(), **kept}

    (project / "Bar.d" / MODULES[0]).unlink()
    monkeypatch.setattr(whole_file_module, "YOUNG_SECONDS", -60)
    assert install_modules(project, Asked()) == 0
    assert contents(project) == {**current(), **kept}


def test_the_wheel_has_the_modules_where_they_are_looked_for() -> None:
    text = (PROJECT / "pyproject.toml").read_text()

    assert '\n"Bar.d" = "barasync/Bar.d"' in text
    assert all((PROJECT / "Bar.d" / name).is_file() for name in MODULES)
