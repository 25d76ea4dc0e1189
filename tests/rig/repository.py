"""An archive of Debian packages, signed and served on the loopback interface."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

SUITE = "test"
ARCHITECTURES = ("amd64", "arm64", "riscv64")

FOUNDATION = (
    *("base-files", "base-passwd", "bash", "coreutils", "dash", "libc-bin"),
    *("diffutils", "dpkg", "findutils", "grep", "sed", "tar"),
)
"""What barasync asks for by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package of one file, an executable; by default for every architecture."""

    name: str
    path: str = ""
    content: bytes = b""
    architecture: str = "all"
    component: str = "main"


@dataclass(frozen=True, slots=True)
class Repository:
    """An archive that is being served: its address, its key, and what was asked for."""

    url: str
    keyring: Path
    asked: list[str] = field(default_factory=list)


@contextmanager
def repository(*packages: Package, expired: bool = False) -> Iterator[Repository]:
    """Serve an archive of packages for the block; those of `FOUNDATION` are there as well, empty.

    The keyring is where only this user can read it.

    Paths may begin with a date: `URL/20260131T000000Z` is the archive as well.
    """
    given = {package.name for package in packages}
    empty = [Package(name=name) for name in FOUNDATION if name not in given]
    # gpg puts its sockets there, whose paths are limited; and a test may have set another place.
    scratch = Path(tempfile.mkdtemp(prefix="repo-", dir="/tmp"))
    try:
        root = scratch / "root"
        _write_index(root, [*empty, *packages], expired=expired)
        keyring = _sign(root / f"dists/{SUITE}", scratch)
        asked: list[str] = []
        with _server(root, asked) as url:
            yield Repository(url, keyring, asked)
    finally:
        shutil.rmtree(scratch)


def _write_index(root: Path, packages: list[Package], *, expired: bool) -> None:
    entries: dict[str, list[tuple[str, str]]] = {}
    for package in packages:
        entry = _build(root, package)
        entries.setdefault(package.component, []).append((package.architecture, entry))
    suite = root / f"dists/{SUITE}"
    for component, listed in entries.items():
        for architecture in ARCHITECTURES:
            index = suite / f"{component}/binary-{architecture}/Packages"
            index.parent.mkdir(parents=True)
            fitting = (entry for own, entry in listed if own in {"all", architecture})
            index.write_text("\n".join(fitting))
    now = datetime.now(UTC)
    date = now - timedelta(days=2) if expired else now - timedelta(minutes=1)
    fields = {
        "Suite": SUITE,
        "Codename": SUITE,
        "Architectures": " ".join(ARCHITECTURES),
        "Components": " ".join(sorted(entries)),
        "Date": _rfc_date(date),
        "Valid-Until": _rfc_date(date + timedelta(days=1)),
    }
    indices = sorted(suite.rglob("Packages"))
    sums = "".join(
        f" {hashlib.sha256(index.read_bytes()).hexdigest()} {index.stat().st_size} "
        f"{index.relative_to(suite)}\n"
        for index in indices
    )
    (suite / "Release").write_text(f"{_fields(fields)}SHA256:\n{sums}")


def _build(root: Path, package: Package) -> str:
    """Make a package's file below `root`; return its entry in the index."""
    control = {
        "Package": package.name,
        "Version": "1",
        "Architecture": package.architecture,
        "Maintainer": "Nobody <nobody@example.org>",
        "Description": "for a test",
    }
    name = f"pool/{package.name}_{package.architecture}.deb"
    (root / "pool").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text(_fields(control))
        if package.path:
            file = tree / package.path
            file.parent.mkdir(parents=True)
            file.write_bytes(package.content)
            file.chmod(0o755)
        tree.chmod(0o755)
        command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", directory, root / name]
        subprocess.run(command, check=True, capture_output=True)
    content = (root / name).read_bytes()
    control |= {
        "Filename": name,
        "Size": str(len(content)),
        "SHA256": hashlib.sha256(content).hexdigest(),
    }
    return _fields(control)


def _sign(suite: Path, scratch: Path) -> Path:
    """Sign the release with a new key; return the keyring."""
    home = scratch / "gpg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    keyring = scratch / "keyring.gpg"
    commands = (
        ["--quick-generate-key", "barasync test", "ed25519", "sign", "never"],
        ["--output", str(keyring), "--export"],
        ["--output", str(suite / "InRelease"), "--clearsign", str(suite / "Release")],
    )
    try:
        for command in commands:
            subprocess.run([*gpg, *command], check=True, capture_output=True)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)
    return keyring


@contextmanager
def _server(root: Path, asked: list[str]) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            asked.append(path)
            first, _, rest = path.lstrip("/").partition("/")
            return super().translate_path(f"/{rest}" if first.endswith("Z") else path)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root))) as server:
        thread = Thread(target=partial(server.serve_forever, poll_interval=0.05))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _fields(fields: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _rfc_date(date: datetime) -> str:
    return date.strftime("%a, %d %b %Y %H:%M:%S UTC")
