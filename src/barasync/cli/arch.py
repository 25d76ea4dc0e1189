"""`barasync arch`: which architectures this host can run."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from barasync.cli import options
from barasync.cli.list_forms import require_one_form
from barasync.matrix import platforms
from barasync.matrix.platforms import Platform, short_name

if TYPE_CHECKING:
    from barasync.cli.interrupts import Interrupts
    from barasync.images.emulation import Emulator
    from barasync.images.emulation.binfmt import Handler

app = typer.Typer(help="Architectures: native, emulated, missing.", no_args_is_help=True)

USUAL = ("amd64", "arm64", "riscv64", "armv7", "ppc64le", "s390x", "386")
"""What is looked at where nobody says which."""

Names = Annotated[
    list[str] | None, typer.Argument(metavar="ARCH…", help="The usual ones by default.")
]


_AsPlatform = Annotated[
    bool, typer.Option("--platform", help="Call them as podman's --platform does: linux/arm64.")
]


@app.command("list")
def list_(
    names: Names = None,
    *,
    only_names: Annotated[
        bool, typer.Option("--names", help="Only those that run, a line for each.")
    ] = False,
    emulated: Annotated[
        bool, typer.Option("--emulated", help="Only those that an emulator runs.")
    ] = False,
    platform: _AsPlatform = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say for each architecture whether this kernel runs it, and by what.

    With --names, and no ARCH, of all that barasync knows; where an ARCH does not run, or not as
    --emulated asks for, the exit code is 1.
    """
    from barasync.images.emulation import Host, State, survey  # noqa: PLC0415 - keeps `--help` quick

    require_one_form(as_json=as_json, names=only_names)
    every = [row.platform for row in platforms.ARCHITECTURES]
    asked = every if only_names and not names else _parse(names)
    found = survey(asked, Host.current())
    wanted = [each for each in found if not emulated or each.state is State.EMULATED]
    call = str if platform else short_name
    if only_names:
        running = [each.platform for each in wanted if each.usable]
        for one in dict.fromkeys(running):
            typer.echo(call(one))
        raise typer.Exit(1 if names and len(running) < len(found) else 0)
    if as_json:
        typer.echo(json.dumps([_as_data(each) for each in wanted], indent=2))
        return
    width = max((len(call(each.platform)) for each in wanted), default=0)
    for each in wanted:
        how = each.state.value
        if each.handler is not None:
            how += f"  {_describe(each.handler)}"
        typer.echo(f"{call(each.platform):<{width}}  {how}")
        if each.fix is not None:
            typer.echo(f"{'':<{width}}  {each.fix}")


def _as_data(emulator: Emulator) -> dict[str, object]:
    from barasync.images.emulation import version_of  # noqa: PLC0415 - keeps `--help` quick

    handler = emulator.handler
    return {
        "name": short_name(emulator.platform),
        "platform": str(emulator.platform),
        "state": emulator.state.value,
        "runs": emulator.usable,
        "emulator": None if handler is None else handler.interpreter,
        "flags": None if handler is None else handler.flags,
        "version": None if handler is None else version_of(handler.interpreter),
        "fix": emulator.fix,
    }


@app.command("name")
def name_(
    name: Annotated[
        str | None, typer.Argument(metavar="ARCH", help="This machine's by default.")
    ] = None,
    *,
    platform: _AsPlatform = False,
) -> None:
    """Print the usual name of an architecture: arm64 for aarch64, arm/v7 for armhf."""
    meant = _own() if name is None else platforms.parse(name, "ARCH")
    typer.echo(str(meant) if platform else str(meant).removeprefix("linux/"))


def _describe(handler: Handler) -> str:
    """Return the interpreter with its flags, and its version where it can be found out."""
    from barasync.images.emulation import version_of  # noqa: PLC0415 - keeps `--help` quick

    version = version_of(handler.interpreter)
    of = "version unknown" if version is None else f"QEMU {version}"
    return f"{handler.interpreter} (flags {handler.flags or 'none'}, {of})"


@app.command()
def check(names: Names = None, *, url: options.Url = None) -> None:
    """Execute a tiny program of each architecture in a container."""
    from barasync.cli.connect import connect  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick
    from barasync.engine.identity import Identity  # noqa: PLC0415 - likewise
    from barasync.images.emulation import check as execute  # noqa: PLC0415 - likewise

    wanted = _parse(names)
    labels = Identity.current().labels("arch-check")

    async def command(_interrupts: Interrupts) -> int:
        async with connect(url, os.environ, notify=_notify) as connection:
            checks = await execute(
                connection.podman,
                wanted,
                labels=labels,
                rlimits=connection.rlimits,
            )
        for one in checks:
            took = "" if one.milliseconds is None else f" ({one.milliseconds:.0f} ms)"
            verdict = f"works{took}" if one.works else f"does not work: {one.reason}"
            typer.echo(f"{short_name(one.platform):<9}{verdict}")
        # Of the usual ones some are rarely there; of those that were asked for all have to be.
        return 0 if names is None or all(one.works for one in checks) else 1

    finish(command)


@app.command()
def setup(names: Names = None) -> None:
    """Register the emulators that are installed but not registered; takes root."""
    from barasync.images.emulation import Host  # noqa: PLC0415 - keeps `--help` quick
    from barasync.images.emulation import setup as register  # noqa: PLC0415 - likewise

    for line in register(_parse(names), Host.current()):
        typer.echo(line)


def _own() -> Platform:
    return platforms.native(os.uname().machine)


def _parse(names: list[str] | None) -> tuple[Platform, ...]:
    return tuple(platforms.parse(name, "ARCH") for name in names or USUAL)


def _notify(line: str) -> None:
    typer.echo(line, err=True)
