"""Who we are to a registry: looked up in the auth files of this user, or asked of a helper."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from barasync.aiopodman import Reference, RegistryLogin
from barasync.errors import ImageError
from barasync.images.auth import (
    AuthFile,
    Helper,
    Malformed,
    auth_files,
    find,
    parse_auth_file,
    parse_helper_answer,
    registry_of,
)

_HELPER_SECONDS = 60.0
"""A helper may ask a person to unlock a keyring."""
_NOT_FOUND = b"credentials not found in native keychain"


@dataclass(frozen=True, slots=True)
class Found:
    """A login, and the file that has it or names the helper that does."""

    login: RegistryLogin
    file: Path


async def find_login(reference: Reference, environ: Mapping[str, str]) -> Found | None:
    """Return the login for the registry of a reference, from the first file that has one.

    Raises:
        ImageError: a file or a helper of it does not work; nothing secret is in the message.
    """
    for path in auth_files(environ, os.getuid()):
        try:
            file = await to_thread.run_sync(_read, path)
            entry = None if file is None else find(file, reference)
            if isinstance(entry, Helper):
                entry = await _ask(entry, registry_of(reference), environ)
        except (OSError, Malformed) as error:
            raise ImageError(
                f"the auth file {path} cannot be used: {error}",
                hint=f"`podman login {registry_of(reference)}` writes it anew",
            ) from error
        if entry is not None:
            return Found(entry, path)
    return None


def _read(path: Path) -> AuthFile | None:
    try:
        return parse_auth_file(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None


async def _ask(helper: Helper, registry: str, environ: Mapping[str, str]) -> RegistryLogin | None:
    """Ask a helper; `None` where it knows no login.

    Raises:
        Malformed: it is missing, fails, takes too long, or answers something else.
    """
    name = f"docker-credential-{helper.program}"
    program = await to_thread.run_sync(partial(shutil.which, name, path=environ.get("PATH")))
    if program is None and helper.optional:
        return None
    if program is None:
        raise Malformed(f"it names the helper {name}, which is not installed")
    question = await to_thread.run_sync(_question, helper.server.encode())
    try:
        with anyio.move_on_after(_HELPER_SECONDS) as scope:
            done = await anyio.run_process(
                [program, "get"], stdin=question, check=False, env=environ
            )
    finally:
        os.close(question)
    if scope.cancelled_caught:
        raise Malformed(f"its helper {name} did not answer within {_HELPER_SECONDS:.0f} s")
    if done.returncode == 0:
        return parse_helper_answer(registry, done.stdout)
    if _NOT_FOUND in done.stdout:
        return None
    raise Malformed(f"its helper {name} failed with exit code {done.returncode}")


def _question(text: bytes) -> int:
    """Return what a program reads a short text from, to be closed; it need not read it."""
    reader, writer = os.pipe()
    os.write(writer, text)
    os.close(writer)
    return reader
