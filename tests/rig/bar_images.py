"""Images in which bar can run: busybox with bash, and Debian."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress

from tests.rig import busybox, debian, libpod

BASH = "localhost/rig:bash"
DEBIAN = "localhost/rig:debian"


def make_bash(socket_path: str) -> str:
    """Make the image with bash of this host's architecture, unless it is there; return its name."""
    if not _is_there(socket_path, BASH):
        _import(socket_path, _with_bash(busybox.native_architecture()), BASH)
    return BASH


def make_debian(socket_path: str) -> str:
    """Make an image of Debian 13 with apt and bash, unless it is there; return its name."""
    if not _is_there(socket_path, DEBIAN):
        _import(socket_path, debian.archive().read_bytes(), DEBIAN)
    return DEBIAN


def _with_bash(architecture: str) -> bytes:
    buffer = io.BytesIO(busybox.archive(architecture))
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        program = debian.static_bash(architecture).read_bytes()
        member = tarfile.TarInfo("bin/bash")
        member.size, member.mode = len(program), 0o755
        tar.addfile(member, io.BytesIO(program))
        # Scripts name it as what finds their interpreter.
        link = tarfile.TarInfo("usr/bin/env")
        link.type, link.linkname = tarfile.SYMTYPE, "/bin/env"
        tar.addfile(link)
    return buffer.getvalue()


def _import(socket_path: str, archive: bytes, name: str) -> None:
    architecture = busybox.native_architecture()
    libpod.import_image(socket_path, archive, reference=name, architecture=architecture)


def _is_there(socket_path: str, name: str) -> bool:
    with suppress(libpod.RefusedError):
        libpod.request(socket_path, "GET", f"images/{name}/exists")
        return True
    return False
