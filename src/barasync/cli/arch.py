"""`barasync arch`: which architectures this host can run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from barasync.cli import options
from barasync.matrix import platforms
from barasync.matrix.platforms import Platform, short_name

if TYPE_CHECKING:
    from barasync.cli.interrupts import Interrupts
    from barasync.images.emulation.binfmt import Handler

app = typer.Typer(help="Architectures: native, emulated, missing.", no_args_is_help=True)

USUAL = ("amd64", "arm64", "riscv64", "armv7", "ppc64le", "s390x", "386")
"""What is looked at where nobody says which."""

Names = Annotated[
    list[str] | None, typer.Argument(metavar="ARCH…", help="The usual ones by default.")
]


@app.command("list")
def list_(names: Names = None) -> None:
    """Say for each architecture whether this kernel runs it, and by what."""
    from barasync.images.emulation import Host, survey  # noqa: PLC0415 - keeps `--help` quick

    for emulator in survey(_parse(names), Host.current()):
        how = emulator.state.value
        if emulator.handler is not None:
            how += f"  {_describe(emulator.handler)}"
        typer.echo(f"{short_name(emulator.platform):<9}{how}")
        if emulator.fix is not None:
            typer.echo(f"         {emulator.fix}")


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


def _parse(names: list[str] | None) -> tuple[Platform, ...]:
    return tuple(platforms.parse(name, "ARCH") for name in names or USUAL)


def _notify(line: str) -> None:
    typer.echo(line, err=True)
