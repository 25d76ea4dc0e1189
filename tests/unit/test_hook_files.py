"""The files of the OCI hook: written, judged, removed, and never another's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import UNSET

from barasync.config.schema import NetworkTable
from barasync.errors import ConfigError
from barasync.networks.hook_files import HookFiles, damage, install, uninstall
from barasync.networks.hook_policies import (
    left_to_podman,
    read_kept,
    read_policies,
    tables_of,
)

WEB = NetworkTable(allow=["10.0.0.0/8 443/tcp"])


@pytest.fixture
def files(tmp_path: Path) -> HookFiles:
    return HookFiles(tmp_path / "containers/oci/hooks.d")


def put(files: HookFiles, *, python: str = sys.executable, **tables: NetworkTable) -> None:
    install(files, python=python, log=files.directory.parent / "a log", tables=tables)


def test_podman_is_told_to_call_the_program_for_each_container_with_the_annotation(
    files: HookFiles,
) -> None:
    put(files)

    written = json.loads(files.hook.read_text())
    assert written["version"] == "1.0.0"
    assert written["hook"]["path"] == str(files.program)
    assert written["when"] == {"annotations": {r"^barasync\.network$": ".*"}}
    assert written["stages"] == ["createRuntime"]
    assert sorted(path.name for path in files.directory.glob("*.json")) == [files.hook.name]


def test_only_its_user_can_change_it_and_everybody_can_run_it(files: HookFiles) -> None:
    put(files)

    modes = [path.stat().st_mode & 0o777 for path in (files.hook, files.program, files.policies)]
    assert modes == [0o644, 0o755, 0o644]
    assert files.directory.stat().st_mode & 0o777 == 0o755


def test_the_program_needs_nothing_of_its_callers_environment_and_fails_without_a_state(
    files: HookFiles,
) -> None:
    put(files)

    done = subprocess.run(
        [files.program], env={"PYTHONPATH": "/nowhere"}, input=b"", capture_output=True, check=False
    )

    assert done.returncode == 4
    assert b"does not let the container of an unknown ID start" in done.stderr
    assert b"known" in (files.directory.parent / "a log").read_bytes()


def test_tables_are_kept_and_read_as_policies(files: HookFiles) -> None:
    put(files, web=WEB)

    (policy,) = read_policies(files.policies).values()
    assert (policy.name, policy.allow[0].text) == ("web", "10.0.0.0/8 443/tcp")
    assert read_kept(files.policies).tables["web"].base is UNSET


def test_installing_again_takes_the_place_of_what_was_there(files: HookFiles) -> None:
    put(files, web=WEB)
    put(files, other=NetworkTable())

    assert list(read_policies(files.policies)) == ["other"]
    assert len(list(files.directory.iterdir())) == 3


@pytest.mark.parametrize("which", ["hook", "program", "policies"])
def test_a_file_of_others_is_neither_replaced_nor_removed(files: HookFiles, which: str) -> None:
    path: Path = getattr(files, which)
    path.parent.mkdir(parents=True)
    path.write_text('{"version": "1.0.0"}')

    with pytest.raises(ConfigError, match=r"is not of `barasync network install-hook`"):
        put(files)
    with pytest.raises(ConfigError, match=r"is not of `barasync network install-hook`"):
        uninstall(files)

    assert [path.name for path in files.directory.iterdir()] == [path.name]
    assert path.read_text() == '{"version": "1.0.0"}'


def test_removal_takes_what_installation_made_and_nothing_else(
    files: HookFiles, tmp_path: Path
) -> None:
    (tmp_path / "containers").mkdir()
    put(files)
    put(files)

    removed = uninstall(files)

    assert list(tmp_path.rglob("*")) == [tmp_path / "containers"]
    assert removed == (
        files.hook,
        files.program,
        files.policies,
        files.directory,
        files.directory.parent,
    )
    assert uninstall(files) == ()


def test_a_directory_with_hooks_of_others_stays(files: HookFiles) -> None:
    put(files)
    other = files.directory / "other.json"
    other.write_text("{}")

    uninstall(files)

    assert list(files.directory.iterdir()) == [other]


def test_a_hook_that_is_whole_has_no_damage(files: HookFiles) -> None:
    put(files, web=WEB)

    assert damage(files) is None


def test_a_hook_whose_program_or_policies_are_gone_is_damaged(
    files: HookFiles, tmp_path: Path
) -> None:
    put(files, python=str(tmp_path / "gone/python"))
    assert "gone/python, which it runs, is not there" in str(damage(files))

    put(files)
    files.program.chmod(0o644)
    assert str(files.program) in str(damage(files))

    put(files)
    files.policies.unlink()
    assert "cannot be read" in str(damage(files))


# Tables of a file


def declared(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "barasync.toml"
    path.write_text(text)
    return path


def test_host_names_are_refused_because_nobody_resolves_them(tmp_path: Path) -> None:
    path = declared(tmp_path, '[network.web]\nallow = ["example.org 443/tcp"]\n')

    with pytest.raises(ConfigError, match=r"network\.web: .*host name 'example\.org'"):
        tables_of(path)


def test_a_file_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no table"):
        tables_of(declared(tmp_path, "[defaults]\nimage = 'x'\n"))


def test_a_table_that_cannot_be_meant_is_refused_as_everywhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="publik"):
        tables_of(declared(tmp_path, '[network.web]\nbase = "publik"\n'))


def test_what_only_podman_can_do_is_named() -> None:
    tables = {"web": WEB, "db": NetworkTable(hosts={"a": "10.0.0.1"}, internal=True)}

    assert left_to_podman(tables) == {"db": ["hosts", "internal"]}
