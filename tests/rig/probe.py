"""An image for probes of networks: busybox, and of this Python what `probe_words.py` takes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.rig import busybox, libpod

IMAGE = "localhost/busybox:probe"
"""The tag is among those that the rig keeps for a session."""

_WORDS = Path(__file__).parent / "probe_words.py"
TAMPERING = Path(__file__).parent / "tamper_words.py"
CLAIMING = Path(__file__).parent / "claim_words.py"
PYTHON = (os.path.realpath(sys.executable), "-I", "-S")
"""Executes `/probe.py` and `/tamper.py` in a container."""
_LOADED = """
import runpy, sys
runpy.run_path(sys.argv[1], run_name="only read")
print(*{file for each in sys.modules.values() if (file := getattr(each, "__file__", None))})
"""

Probe = tuple[str, str, int]


def command(probes: Iterable[Probe]) -> list[str]:
    """Return what a container executes for some probes: protocol, address or name, and port."""
    return [*PYTHON, "/probe.py", json.dumps(list(probes))]


def make_image(socket_path: str) -> None:
    """Make the image of this host's architecture in a podman, unless it is there."""
    with suppress(libpod.RefusedError):
        libpod.request(socket_path, "GET", f"images/{IMAGE}/exists")
        return
    archive, architecture = _archive(), busybox.native_architecture()
    libpod.import_image(socket_path, archive, reference=IMAGE, architecture=architecture)


@cache
def _archive() -> bytes:
    loaded = _said(*PYTHON, "-c", _LOADED, str(_WORDS)).split()
    programs = [PYTHON[0], *(file for file in loaded if file.endswith(".so"))]
    libraries = set(re.findall(r"(/\S+) \(0x", _said("ldd", *programs)))
    buffer = io.BytesIO(busybox.archive(busybox.native_architecture()))
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        for file in sorted({*loaded, *libraries, *programs}):
            tar.add(os.path.realpath(file), file)
        tar.add(_WORDS, "probe.py")
        tar.add(TAMPERING, "tamper.py")
    return buffer.getvalue()


def _said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout
