"""The files of the OCI hook: written, found and removed.

    barasync-network.json       what podman reads: when to call which program (oci-hooks(5))
    barasync-network.sh         that program, whose path podman shows where it fails
    barasync-network.policies   the tables it knows

Podman passes over files that are not named `.json`. Rootful podman reads
`/etc/containers/oci/hooks.d` and `/usr/share/containers/oci/hooks.d` unless `hooks_dir` in
containers.conf names others; rootless podman reads what `hooks_dir` names and nothing without.

Source: oci-hooks(5), podman(1), `setupOCIHooks` of libpod, 4.3 and 5.4.
"""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from barasync.config.schema import NetworkTable
from barasync.errors import ConfigError, EngineUnavailable
from barasync.networks.hook_container import ANNOTATION
from barasync.networks.hook_policies import Kept, read_kept, read_policies

DEFAULT_DIRECTORY = Path("/etc/containers/oci/hooks.d")
_NAME = "barasync-network"
_MARK = "# Written by `barasync network install-hook`; `uninstall-hook` removes it."
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECONDS = 60
"""What the runtime gives the hook; its two calls of nft have 10 s each."""


@dataclass(frozen=True, slots=True)
class HookFiles:
    """The files of a hook in a directory of hooks."""

    directory: Path

    @property
    def hook(self) -> Path:
        """What podman reads."""
        return self.directory / f"{_NAME}.json"

    @property
    def program(self) -> Path:
        """What the runtime calls."""
        return self.directory / f"{_NAME}.sh"

    @property
    def policies(self) -> Path:
        """What the program knows."""
        return self.directory / f"{_NAME}.policies"

    def is_installed(self) -> bool:
        """Tell whether podman would find a hook there."""
        return self.hook.exists()


def hook_text(program: Path) -> str:
    """Return what podman reads: call `program` for every container with the annotation."""
    escaped = ANNOTATION.replace(".", r"\.")
    return json.dumps(
        {
            "version": "1.0.0",
            "hook": {"path": str(program), "timeout": _SECONDS},
            # Any value, the empty one too: what is no policy's name fails there.
            "when": {"annotations": {f"^{escaped}$": ".*"}},
            "stages": ["createRuntime"],
        },
        indent=2,
    )


def program_text(python: str, policies: Path, log: Path) -> str:
    """Return the script that becomes barasync, whatever the environment of its caller is."""
    command = shlex.join([python, "-I", "-m", "barasync.networks.hook", str(policies), str(log)])
    # Where root's log cannot be written to, by the podman of another user.
    command += f' "${{XDG_RUNTIME_DIR:-/run}}/"{shlex.quote(log.name)}'
    return (
        f"#!/bin/sh\n{_MARK}\n"
        f"# What it refuses is in {shlex.quote(str(log))}.\n"
        f"PATH={_PATH}\nexport PATH\nexec {command}\n"
    )


def install(
    files: HookFiles, *, python: str, log: Path, tables: Mapping[str, NetworkTable]
) -> None:
    """Write the hook, in place of an older one; podman finds it last, once all is there. Blocks.

    Raises:
        ConfigError: there is a file of one of these names that is not ours.
        EngineUnavailable: it cannot be written; what podman reads is as it was.
    """
    _require_ours(files)
    try:
        made = _make(files.directory)
        with suppress(ConfigError):
            made = (*read_kept(files.policies).directories, *made)
        kept = Kept(python, made, dict(tables))
        _write(files.policies, msgspec.json.format(msgspec.json.encode(kept)), 0o644)
        _write(files.program, program_text(python, files.policies, log).encode(), 0o755)
        _write(files.hook, f"{hook_text(files.program)}\n".encode(), 0o644)
    except OSError as error:
        raise EngineUnavailable(
            f"the hook cannot be written: {error.filename or files.directory}: {error.strerror}",
            hint="root's directories take root; other users name one of theirs with --hooks-dir",
        ) from None


def uninstall(files: HookFiles) -> tuple[Path, ...]:
    """Remove what `install` has written, and directories it made that are empty. Blocks.

    Returns what was removed, nothing where there was no hook.

    Raises:
        ConfigError: a file of one of these names is not ours; nothing was removed.
        EngineUnavailable: something cannot be removed.
    """
    _require_ours(files)
    directories: tuple[str, ...] = ()
    with suppress(ConfigError):
        directories = read_kept(files.policies).directories
    removed = []
    try:
        for path in (files.hook, files.program, files.policies):
            with suppress(FileNotFoundError):
                path.unlink()
                removed.append(path)
    except OSError as error:
        raise EngineUnavailable(f"{error.filename} cannot be removed: {error.strerror}") from None
    for directory in map(Path, reversed(directories)):
        # One that has other files now, or is gone, stays as it is.
        with suppress(OSError):
            directory.rmdir()
            removed.append(directory)
    return tuple(removed)


def damage(files: HookFiles) -> str | None:
    """Say what of an installed hook is not whole, so that no container with it starts. Blocks."""
    try:
        _require_ours(files)
        read_policies(files.policies)
        python = read_kept(files.policies).python
    except ConfigError as error:
        return str(error)
    for program in (str(files.program), python):
        if not os.access(program, os.X_OK):
            return f"{program}, which it runs, is not there or cannot be run"
    return None


def _require_ours(files: HookFiles) -> None:
    marks = (
        (files.hook, json.dumps(str(files.program))),
        (files.program, _MARK),
        (files.policies, '"python"'),
    )
    for path, mark in marks:
        try:
            ours = mark in path.read_text(errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        if not ours:
            raise ConfigError(
                f"{path}: is not of `barasync network install-hook`, and stays as it is",
                hint="move it away, or name another directory with --hooks-dir",
            )


def _make(directory: Path) -> tuple[str, ...]:
    """Make a directory with its parents; return those that were not there, the outermost first."""
    absent = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(absent):
        each.mkdir()
        each.chmod(0o755)
    return tuple(str(each) for each in reversed(absent))


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file, whole or not at all, under a name that podman passes over until it is whole."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
