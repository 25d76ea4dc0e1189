"""Debian roots made on this machine, and kept in the user's cache directory."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

CACHE = Path(platformdirs.user_cache_dir("barasync-test"))

DOWNLOAD_ATTEMPTS = 3


class SetupError(Exception):
    """Something a test stands on could not be made; the tests that need it fail with this."""


@dataclass(frozen=True, slots=True)
class Source:
    """A Debian suite, and the options mmdebstrap needs for it."""

    suite: str
    options: tuple[str, ...] = ()


TRIXIE = Source("trixie")
# The index of trixie for a young port may not match its Release file; unstable is always there.
SID = Source("sid", ("--aptopt=Acquire::Check-Valid-Until false",))


def root_with_podman() -> Path:
    """Return a Debian 13 root with podman in it, made if it is not there yet (20 s, 280 MB)."""
    return _cached(_podman_key(), _make_podman_root)


def podman_version_in_cache() -> str | None:
    """Return the version of podman in the cached root, `None` while there is no such root."""
    status = CACHE / _podman_key() / "var/lib/dpkg/status"
    if not status.exists():
        return None
    found = re.search(
        r"^Package: podman$(?:\n.+)*?\nVersion: ([\d.]+)", status.read_text(), re.MULTILINE
    )
    return found[1] if found else None


_PODMAN_PACKAGES = (
    "podman",
    "crun",
    "conmon",
    "netavark",
    "aardvark-dns",
    "nftables",
    "iproute2",
    "ca-certificates",
    "passt",
    "fuse-overlayfs",
    "uidmap",
)


def _podman_key() -> str:
    packages = hashlib.sha256(" ".join(_PODMAN_PACKAGES).encode()).hexdigest()[:8]
    return f"trixie-podman-{os.uname().machine}-{packages}"


def _make_podman_root(target: Path) -> None:
    _bootstrap(
        target,
        ["--variant=apt", f"--include={','.join(_PODMAN_PACKAGES)}"],
        sources=[TRIXIE],
    )


def archive() -> Path:
    """Return a tar archive of a Debian 13 root with apt and bash (8 s, once)."""

    def make(target: Path) -> None:
        _bootstrap(target, ["--variant=apt", "--format=tar"], sources=[TRIXIE])

    return _cached(f"trixie-{os.uname().machine}.tar", make)


def static_bash(architecture: str) -> Path:
    """Return a bash that needs no library, for a Debian architecture."""
    return _program("bash-static", "bin/bash-static", architecture)


def busybox(architecture: str) -> Path:
    """Return a static busybox for a Debian architecture that is not this machine's."""
    return _program("busybox-static", "bin/busybox", architecture)


def docker_registry() -> Path:
    """Return a program that is a registry of images (8 s, once).

    The package is unpacked, not installed: installed, it would serve on every interface.
    """
    return _program("docker-registry", "bin/docker-registry", None)


UBUNTU = "http://archive.ubuntu.com/ubuntu"
_UBUNTU_KEYRING = "80a36b0a6de2f69f49d2df75ef473ccde121e9e190b9ea01d20a4f63778d5c31"


def ubuntu_keyring() -> Path:
    """Return the keyring of Ubuntu's archive, which Debian has in no package everywhere.

    It comes from that archive, and is taken for what it is by its digest.
    """

    def fetch(target: Path) -> None:
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            root = Path(scratch, "root")
            options = ["--variant=extract", "--include=ubuntu-keyring"]
            mirror = f"deb [trusted=yes] {UBUNTU} noble main"
            _bootstrap(root, options, sources=[Source("noble")], mirrors=[mirror])
            keyring = root / "usr/share/keyrings/ubuntu-archive-keyring.gpg"
            if hashlib.sha256(keyring.read_bytes()).hexdigest() != _UBUNTU_KEYRING:
                raise SetupError("this is not the keyring of Ubuntu's archive")
            shutil.copy2(keyring, target)

    return _cached("ubuntu-archive-keyring.gpg", fetch)


def _program(package: str, place: str, architecture: str | None) -> Path:
    """Return a program of a package, for this machine where no architecture is given."""

    def fetch(target: Path) -> None:
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            root = Path(scratch, "root")
            options = ["--variant=extract", f"--include={package}"]
            if architecture is not None:
                options.append(f"--architectures={architecture}")
            _bootstrap(root, options, sources=[TRIXIE, SID])
            program = next(path for path in root.glob(f"**/{place}") if path.is_file())
            shutil.copy2(program, target)

    machine = architecture or os.uname().machine
    return _cached(f"{place.rpartition('/')[2]}-{machine}", fetch)


def _bootstrap(
    target: Path, options: Sequence[str], *, sources: Sequence[Source], mirrors: Sequence[str] = ()
) -> None:
    problems = []
    for source in sources:
        command = ["mmdebstrap", *options, *source.options, source.suite, str(target), *mirrors]
        for _ in range(DOWNLOAD_ATTEMPTS):
            try:
                run = subprocess.run(command, capture_output=True, text=True, check=False)
            except FileNotFoundError as error:
                raise SetupError("mmdebstrap is not installed; script/setup installs it") from error
            if run.returncode == 0:
                return
            problems.append(f"{' '.join(command)}\n{run.stderr[-2000:]}")
            shutil.rmtree(target, ignore_errors=True)
    raise SetupError("mmdebstrap failed:\n" + "\n".join(problems))


def _cached(name: str, make: Callable[[Path], None]) -> Path:
    """Return a file or directory in the cache; it is made under a lock and appears complete.

    What failed once is not tried again by the next test: it would only take as long again.
    """
    if name in _failures:
        raise _failures[name]
    CACHE.mkdir(parents=True, exist_ok=True)
    result = CACHE / name
    with locked(CACHE / f"{name}.lock"):
        if not result.exists():
            partial = CACHE / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.unlink(missing_ok=True)
            try:
                make(partial)
            except SetupError as error:
                _failures[name] = error
                raise
            partial.rename(result)
    return result


_failures: dict[str, SetupError] = {}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other sessions of the tests out of the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
