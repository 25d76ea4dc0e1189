"""The options that several commands share, declared once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from barasync.config.schema import ArtifactsOn, RetryOn, WorkspaceMode
from barasync.config.sizes import parse_size
from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError
from barasync.images.freshness import Freshness

_CELL = "What a cell gets"

Url = Annotated[
    str | None,
    typer.Option("--url", help="The podman service to use, unix:///path.", metavar="URL"),
]
_CONTAINER = "Its name, the beginning of its ID, RUN/CELL, or a CELL that runs."
Container = Annotated[str, typer.Argument(help=_CONTAINER, show_default=False)]
Containers = Annotated[
    list[str], typer.Argument(metavar="CONTAINER…", help=_CONTAINER, show_default=False)
]
OfRun = Annotated[
    str | None, typer.Option("--run", help="Only containers of this run.", metavar="RUN")
]
OfCell = Annotated[
    str | None, typer.Option("--cell", help="Only containers of this cell.", metavar="CELL")
]
Image = Annotated[
    str | None,
    typer.Option("--image", help="A declared image or a reference.", rich_help_panel=_CELL),
]
Pull = Annotated[
    Freshness,
    typer.Option("--pull", help="When registries are asked for images."),
]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Accept registries without TLS, and any certificate."),
]
CheckElf = Annotated[
    bool,
    typer.Option("--check-elf", help="Compare the shell in each image with its platform."),
]
OneArch = Annotated[
    str | None, typer.Option("--arch", help="The architecture; this machine's by default.")
]
OneConfig = Annotated[str | None, typer.Option("--config", help="A configuration of the project.")]
Define = Annotated[
    list[str] | None,
    typer.Option(
        "--define",
        help="A setting as if barasync.toml had it: network.web.allow=443/tcp,"
        " config.release.env.LTO=1. Repeatable.",
        metavar="TABLE.NAME.KEY=VALUE",
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        help="Seconds after which a cell is killed, 0 for no limit.",
        metavar="SECONDS",
        rich_help_panel=_CELL,
    ),
]
StopGrace = Annotated[
    float | None,
    typer.Option(
        "--stop-grace",
        help="Seconds between SIGTERM and SIGKILL when a cell is ended; 0 by default.",
        metavar="SECONDS",
        rich_help_panel=_CELL,
    ),
]
Retries = Annotated[
    int | None,
    typer.Option("--retries", help="Try again so often.", metavar="N", rich_help_panel=_CELL),
]
RetriesOn = Annotated[
    list[str] | None,
    typer.Option(
        "--retry-on",
        help="After these failures: infra (the default), timeout, oom, failed.",
        metavar="KIND,…",
        rich_help_panel=_CELL,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Cells at once; by default as many as the CPUs and the memory allow.",
    ),
]
CpusTotal = Annotated[
    float | None,
    typer.Option(
        "--cpus-total",
        help="Cores that all cells may take together; the host's by default.",
        metavar="CPUS",
    ),
]
MemoryTotal = Annotated[
    str | None,
    typer.Option(
        "--memory-total",
        help="Memory that all cells may take together; nine tenths of the host's by default.",
        metavar="SIZE",
    ),
]
Deadline = Annotated[
    float | None,
    typer.Option("--deadline", help="Seconds after which the whole run ends.", metavar="SECONDS"),
]
Memory = Annotated[
    str | None,
    typer.Option("--memory", help="512m, 2g, …", metavar="SIZE", rich_help_panel=_CELL),
]
Cpus = Annotated[
    float | None, typer.Option("--cpus", help="Cores, 0.5 for half.", rich_help_panel=_CELL)
]
Pids = Annotated[
    int | None, typer.Option("--pids", help="Processes at most.", rich_help_panel=_CELL)
]
Network = Annotated[
    str | None,
    typer.Option(
        "--network",
        help="private by default; public, local, isolated, one of the file's, one that `network"
        " create` made, none or bridge: `barasync network show NAME` says what each lets through.",
        metavar="NAME",
        rich_help_panel=_CELL,
    ),
]
AllowHostNetwork = Annotated[
    bool,
    typer.Option(
        "--allow-host-network",
        help="Let cells have the network `host`: all that this host reaches, its loopback too.",
        rich_help_panel=_CELL,
    ),
]
Publish = Annotated[
    list[str] | None,
    typer.Option(
        "--publish",
        "-p",
        help="A port that is reached through one of this host; through one that is free, without"
        " HOST. Repeatable.",
        metavar="[ADDR:][HOST:]CONTAINER[/PROTO]",
        rich_help_panel=_CELL,
    ),
]
CapAdd = Annotated[
    list[str] | None,
    typer.Option(
        "--cap-add",
        help="A capability beyond podman's default ones. Repeatable.",
        metavar="NAME",
        rich_help_panel=_CELL,
    ),
]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", help="Repeatable.", metavar="NAME=VALUE", rich_help_panel=_CELL),
]
Secret = Annotated[
    list[str] | None,
    typer.Option(
        "--secret",
        help="A file at /run/secrets/NAME, or a variable. Repeatable.",
        metavar="NAME=FILE|env:VAR",
        rich_help_panel=_CELL,
    ),
]
Volume = Annotated[
    list[str] | None,
    typer.Option(
        "--volume", "-v", help="Repeatable.", metavar="SRC:DST[:OPTS]", rich_help_panel=_CELL
    ),
]
Cache = Annotated[
    list[str] | None,
    typer.Option(
        "--cache",
        help="A directory that outlives the run, per image and architecture. Repeatable.",
        metavar="NAME:DST[:lock|cow]",
        rich_help_panel=_CELL,
    ),
]
Workspace = Annotated[
    WorkspaceMode | None,
    typer.Option("--workspace", help="How the project's files come in.", rich_help_panel=_CELL),
]
Workdir = Annotated[
    str | None,
    typer.Option(
        "--workdir",
        "-w",
        help="Where the command starts: an absolute path; by default the workspace, or without one"
        " what the image says.",
        metavar="DIR",
        rich_help_panel=_CELL,
    ),
]
Copy = Annotated[
    list[str] | None,
    typer.Option(
        "--copy",
        help="A file or directory put in the container before it starts. Repeatable.",
        metavar="SRC:DST",
        rich_help_panel=_CELL,
    ),
]
Artifact = Annotated[
    list[str] | None,
    typer.Option(
        "--artifact",
        help="A file or directory to bring back, or a pattern with *, ?, [] or **. Repeatable.",
        metavar="PATH",
        rich_help_panel=_CELL,
    ),
]
ArtifactsWhen = Annotated[
    ArtifactsOn | None,
    typer.Option(
        "--artifacts-on",
        help="From which cells artifacts are collected; always by default.",
        rich_help_panel=_CELL,
    ),
]
ArtifactsSize = Annotated[
    str | None,
    typer.Option(
        "--artifacts-size",
        help="How much may be collected of a cell; 16g by default.",
        metavar="SIZE",
        rich_help_panel=_CELL,
    ),
]
ArtifactsFiles = Annotated[
    int | None,
    typer.Option(
        "--artifacts-files",
        help="How many files and directories may be collected of a cell; 500000 by default.",
        metavar="N",
        rich_help_panel=_CELL,
    ),
]
ArtifactsTimeout = Annotated[
    float | None,
    typer.Option(
        "--artifacts-timeout",
        help="Seconds that collecting may take of a cell; 600 by default.",
        metavar="SECONDS",
        rich_help_panel=_CELL,
    ),
]
DetachKeys = Annotated[
    str | None,
    typer.Option(
        "--detach-keys",
        help="What is typed to leave it to itself, ctrl-p,ctrl-q by default; empty for none.",
        metavar="KEYS",
    ),
]
NoStdin = Annotated[
    bool,
    typer.Option(
        "--no-stdin",
        help="Read nothing here, as for a loop that reads lines: its input is at its end.",
    ),
]
OnlyWatch = Annotated[
    bool, typer.Option("--no-stdin", help="Read nothing here, and send nothing: only its output.")
]
Snapshot = Annotated[
    str | None,
    typer.Option(
        "--snapshot",
        help="Keep the container of a cell that has ended, however it ended, as an image of this"
        " name. Of several cells the ID of each is appended, or stands for {cell}.",
        metavar="NAME:TAG",
    ),
]
KeepFailed = Annotated[
    bool,
    typer.Option(
        "--keep-failed",
        help="Keep the container of each cell that fails as an image for 7 days;"
        " `barasync shell --from-failed` gets into it.",
    ),
]
ArtifactsDir = Annotated[
    Path | None,
    typer.Option("--artifacts-dir", help="Where artifacts go.", metavar="DIR"),
]
Report = Annotated[
    list[str] | None,
    typer.Option(
        "--report",
        help="Write the result as a page that stands alone. Repeatable.",
        metavar="html=FILE",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Print the engine's own events.")]


def parse_retry_on(values: list[str]) -> list[RetryOn]:
    """Read `KIND,KIND`, given once or repeatedly.

    Raises:
        ConfigError: there is no such kind.
    """
    known = [kind.value for kind in RetryOn]
    kinds = []
    for name in (name.strip() for value in values for name in value.split(",")):
        if name not in known:
            raise ConfigError(
                f"--retry-on: unknown kind {name!r}{did_you_mean(name, known)}",
                hint=f"the kinds are {', '.join(known)}",
            )
        kinds.append(RetryOn(name))
    return kinds


def parse_amount(option: str, amount: float | None, unit: str) -> float | None:
    """Check the amount of an option of the whole run, in `unit`.

    Raises:
        ConfigError: it is not more than nothing.
    """
    if amount is not None and not 0 < amount < float("inf"):
        raise ConfigError(f"{option}: {amount:g} is not a number of {unit} above 0")
    return amount


def parse_bytes(option: str, size: str | None) -> int | None:
    """Check a size that is the value of an option of its own, in bytes.

    Raises:
        ConfigError: it is no size, or nothing.
    """
    if size is None:
        return None
    try:
        number = parse_size(size)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None
    if number <= 0:
        raise ConfigError(f"{option}: {size!r} is not more than nothing")
    return number


def parse_pairs(option: str, assignments: Iterable[str]) -> dict[str, str]:
    """Read the `NAME=VALUE` pairs of an option.

    Raises:
        ConfigError: one of them has no `=` or no name.
    """
    pairs: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise ConfigError(f"{option}: {assignment!r} is not NAME=VALUE")
        pairs[name] = value
    return pairs
