"""`barasync network install-hook` and `uninstall-hook`: policies for `podman run` by hand."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from barasync.networks.hook_files import HookFiles

_LOG = "barasync-network-hook.log"

_HooksDir = Annotated[
    Path | None,
    typer.Option(
        "--hooks-dir",
        help="Where podman reads hooks; /etc/containers/oci/hooks.d for root's.",
        metavar="DIR",
        show_default=False,
    ),
]


def install_hook(
    *,
    hooks_dir: _HooksDir = None,
    policies: Annotated[
        Path | None,
        typer.Option(
            "--policies",
            help="Also know the policies that a file declares, as they are now.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            help=f"Where the hook says what it refused; /run/{_LOG} for root's.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Let podman apply the policy that a container's annotation barasync.network names."""
    from barasync.config.policies import PRESETS  # noqa: PLC0415 - keeps `--help` quick
    from barasync.networks.hook_files import install  # noqa: PLC0415 - likewise
    from barasync.networks.hook_policies import left_to_podman, tables_of  # noqa: PLC0415 - likewise

    files = _files(hooks_dir)
    place = (log or _log_of(files)).absolute()
    if not place.parent.is_dir() and place.parent != files.directory:
        raise ConfigError(
            f"--log: {place.parent} is no directory, and nobody would hear why a container is"
            " refused",
            hint="make it, or name another file",
        )
    tables = {} if policies is None else tables_of(policies)
    install(files, python=sys.executable, log=place, tables=tables)
    for path in (files.hook, files.program, files.policies):
        typer.echo(f"wrote {path}")
    typer.echo(f"policies: {', '.join((*PRESETS, *tables))}")
    for name, keys in left_to_podman(tables).items():
        typer.echo(f"note: {name}: give podman run what it says of {', '.join(keys)} as options")
    for note in _writable(files):
        typer.echo(f"note: {note}")
    typer.echo(_try_it(files, place))


def uninstall_hook(*, hooks_dir: _HooksDir = None) -> None:
    """Remove the hook; containers with the annotation start without rules from then on."""
    from barasync.networks.hook_files import uninstall  # noqa: PLC0415 - keeps `--help` quick

    files = _files(hooks_dir)
    removed = uninstall(files)
    for path in removed:
        typer.echo(f"removed {path}")
    if not removed:
        typer.echo(f"there is no hook of barasync in {files.directory}")


def _files(hooks_dir: Path | None) -> HookFiles:
    from barasync.networks.hook_files import DEFAULT_DIRECTORY, HookFiles  # noqa: PLC0415 - likewise

    if hooks_dir is None and os.geteuid() != 0:
        raise ConfigError(
            "rootless podman reads no directory of hooks by itself",
            hint="name one with --hooks-dir, such as ~/.config/containers/oci/hooks.d, and in"
            " ~/.config/containers/containers.conf as `hooks_dir` of [engine]",
        )
    return HookFiles((hooks_dir or DEFAULT_DIRECTORY).absolute())


def _log_of(files: HookFiles) -> Path:
    if os.geteuid() == 0:
        return Path("/run") / _LOG
    return Path(os.environ.get("XDG_RUNTIME_DIR") or files.directory) / _LOG


def _writable(files: HookFiles) -> Iterable[str]:
    """Say where others than the user of the hook could change what it runs."""
    from barasync import __file__ as package  # noqa: PLC0415 - likewise

    for path in (Path(sys.executable).resolve(), Path(package).parent, files.directory):
        stat = path.stat()
        if stat.st_uid not in (0, os.geteuid()) or stat.st_mode & 0o022:
            yield (
                f"{path} can be changed by others, and the hook runs it with the rights of podman:"
                " install barasync where only this user can write"
            )


def _try_it(files: HookFiles, log: Path) -> str:
    from barasync.networks.hook_container import ANNOTATION  # noqa: PLC0415 - likewise
    from barasync.networks.hook_files import DEFAULT_DIRECTORY  # noqa: PLC0415 - likewise

    setting = f'hooks_dir = ["{files.directory}"]'
    reads = (
        "unless `hooks_dir` in containers.conf names others"
        if files.directory == DEFAULT_DIRECTORY and os.geteuid() == 0
        else f"where [engine] in containers.conf has {setting}, or with --hooks-dir"
    )
    command = shlex.join(
        ["podman", "run", "--rm", "--network=none", f"--annotation={ANNOTATION}=no-such-policy"]
    )
    return (
        f"Podman reads the hook {reads}.\n"
        "One that does not starts containers with the annotation WITHOUT any rules, and says\n"
        "nothing. To see that yours reads it, this has to fail with 'error executing hook':\n\n"
        f"    {command} IMAGE true\n\n"
        f"Why the hook has not let a container start is in {log}."
    )
