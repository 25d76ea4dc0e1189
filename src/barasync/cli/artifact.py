"""`barasync artifact`: files and directories out of containers."""

from __future__ import annotations

import os
import posixpath
from typing import Annotated

import typer

from barasync.cli import options
from barasync.errors import ConfigError

app = typer.Typer(help="Files and directories out of containers.", no_args_is_help=True)


@app.callback()
def artifacts() -> None:
    """Files and directories out of containers."""


@app.command()
def fetch(
    container: options.Container,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="An absolute path in it; with /. at its end what is in a directory.",
            show_default=False,
        ),
    ],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DST",
            help="Where it is to be here; a directory to put it in; or - for a tar on stdout.",
            show_default=False,
        ),
    ],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of what is there, once it is here whole.")
    ] = False,
    unpack: Annotated[
        bool,
        typer.Option(
            "--unpack", help="SRC is a tar archive, compressed or not; DST gets what is in it."
        ),
    ] = False,
    size: Annotated[
        str | None,
        typer.Option("--artifacts-size", help="How much may come; 16g by default.", metavar="SIZE"),
    ] = None,
    files: Annotated[
        int | None,
        typer.Option(
            "--artifacts-files",
            help="How many files and directories may come; 500000 by default.",
            metavar="N",
            min=1,
        ),
    ] = None,
    url: options.Url = None,
) -> None:
    """Fetch a file or directory of a container, running or not; it arrives whole or not at all.

    As with cp, a DST that is a directory, or ends with a slash, gets it under its own name.
    Nothing that exists is overwritten, unless --replace says so. What could do harm here (links
    that lead outside, devices) is left out and listed; a tar on stdout is what podman sends, with
    everything.
    """
    path, is_content = _path_in_container(source)
    if unpack and is_content:
        raise ConfigError(f"SRC: {source!r} is what is in a directory, and --unpack takes a file")
    size_bytes = options.parse_bytes("--artifacts-size", size)
    # The client takes 0.2 s to load; `--help` does without.
    from barasync.artifacts.receiver import Form  # noqa: PLC0415 - as said
    from barasync.cli.downloads import fetch_path, fetch_tar  # noqa: PLC0415 - as said
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - as said
    from barasync.cli.places import (  # noqa: PLC0415 - likewise
        STDOUT,
        directory_for,
        place_for,
        require_no_terminal,
    )

    form = Form.UNPACKED if unpack else Form.CONTENT if is_content else Form.WHOLE
    if destination == STDOUT:
        if replace or unpack:
            option = "--replace" if replace else "--unpack"
            raise ConfigError(f"{option} is for a place here, and - is a tar archive on stdout")
        require_no_terminal("a tar archive")
        finish(
            lambda _interrupts: fetch_tar(container, path, form=form, url=url, environ=os.environ)
        )
    if form is Form.WHOLE:
        place = place_for(path, destination, replace=replace)
    else:
        place = directory_for(destination)
    finish(
        lambda _interrupts: fetch_path(
            container,
            path,
            place,
            form=form,
            replace=replace,
            size=size_bytes,
            files=files,
            url=url,
            environ=os.environ,
        )
    )


def _path_in_container(source: str) -> tuple[str, bool]:
    """Return the path that SRC is, normalized, and whether what is in that directory is meant.

    Raises:
        ConfigError: it is none that podman can be asked for.
    """
    if not source.startswith("/"):
        raise ConfigError(f"SRC: {source!r} is not an absolute path in the container")
    path = "/" + posixpath.normpath(source).lstrip("/")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"SRC: {source!r} is not UTF-8, and podman is not asked for it",
            hint="fetch the directory it is in",
        ) from None
    if path == "/":
        raise ConfigError(
            "SRC: the whole file system is not fetched file by file",
            hint="`barasync container export` gives it as one archive",
        )
    return path, source.rstrip("/").endswith("/.")
