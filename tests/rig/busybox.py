"""The image of most tests: a static busybox with its applets."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from functools import cache
from pathlib import Path

from tests.rig import debian

HOST_BUSYBOX = Path("/bin/busybox")

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64"}

_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
_DIRECTORIES = {"bin": 0o755, "etc": 0o755, "root": 0o700, "tmp": 0o1777, "workspace": 0o755}


def native_architecture() -> str:
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


@cache
def archive(architecture: str) -> bytes:
    """Return a tar archive of a root file system for one architecture."""
    native = architecture == native_architecture()
    program = HOST_BUSYBOX if native else debian.busybox(architecture)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in _DIRECTORIES.items():
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, mode
            tar.addfile(member)
        for name, text in _FILES.items():
            _add_file(tar, name, text.encode(), 0o644)
        _add_file(tar, "bin/busybox", program.read_bytes(), 0o755)
        for applet in _applets():
            member = tarfile.TarInfo(f"bin/{applet}")
            member.type, member.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(member)
    return buffer.getvalue()


def _add_file(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def _applets() -> list[str]:
    """Return the commands of the host's busybox, which stand for those of a foreign one."""
    if not HOST_BUSYBOX.exists():
        raise debian.SetupError("busybox-static is not installed; script/setup installs it")
    listed = subprocess.run([HOST_BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    return sorted(set(listed.stdout.split()) - {"busybox"})
