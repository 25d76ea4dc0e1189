"""`barasync network install-hook` and `uninstall-hook`: what they say."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from barasync.cli.network_hook import install_hook, uninstall_hook
from barasync.errors import ConfigError


def test_what_was_written_is_said_with_a_command_that_shows_whether_podman_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_hook(hooks_dir=tmp_path / "hooks", log=tmp_path / "log")

    said = capsys.readouterr().out
    assert f"wrote {tmp_path}/hooks/barasync-network.json" in said
    assert "policies: public, private, local, isolated\n" in said
    assert "--annotation=barasync.network=no-such-policy IMAGE true" in said
    assert f'hooks_dir = ["{tmp_path}/hooks"]' in said
    assert f"is in {tmp_path}/log" in said


def test_keys_of_a_table_that_podman_has_to_be_told_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "barasync.toml"
    file.write_text('[network.db]\nhosts = { a = "10.0.0.1" }\n')

    install_hook(hooks_dir=tmp_path / "hooks", log=tmp_path / "log", policies=file)

    assert "note: db: give podman run what it says of hosts as options" in capsys.readouterr().out


def test_a_program_that_others_can_change_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.touch()
    python.chmod(0o777)
    monkeypatch.setattr(sys, "executable", str(python))

    install_hook(hooks_dir=tmp_path / "hooks", log=tmp_path / "log")

    assert f"note: {python} can be changed by others" in capsys.readouterr().out


def test_without_root_a_directory_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(ConfigError, match="rootless podman reads no directory") as refused:
        install_hook()

    assert "--hooks-dir" in str(refused.value.hint)


def test_a_log_that_could_not_be_written_is_refused_before_anything_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        install_hook(hooks_dir=tmp_path / "hooks", log=tmp_path / "nosuch" / "log")

    assert str(refused.value).startswith(f"--log: {tmp_path}/nosuch is no directory")
    assert list(tmp_path.iterdir()) == []


def test_the_log_may_be_beside_a_hook_whose_directory_is_made(tmp_path: Path) -> None:
    install_hook(hooks_dir=tmp_path / "hooks", log=tmp_path / "hooks" / "log")

    assert (tmp_path / "hooks" / "barasync-network.json").exists()


def test_removal_says_what_was_removed_or_that_there_was_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_hook(hooks_dir=tmp_path / "hooks", log=tmp_path / "log")
    uninstall_hook(hooks_dir=tmp_path / "hooks")
    assert f"removed {tmp_path}/hooks/barasync-network.json" in capsys.readouterr().out

    uninstall_hook(hooks_dir=tmp_path / "hooks")
    assert "there is no hook of barasync in" in capsys.readouterr().out
