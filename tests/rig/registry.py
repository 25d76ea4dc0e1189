"""A registry of images on loopback: Debian's `docker-registry`, with storage of its own."""

from __future__ import annotations

import base64
import http.client
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.rig import debian
from tests.rig.waiting import wait_until

USER, PASSWORD = "tester", "s3cret:word"
_HTPASSWD = "tester:$2b$04$abcdefghijklmnopqrstuuHR3t7FUNT1H99nlAQFD.ZD8cnc5Jsi2\n"
# Bcrypt of the password at its lowest cost.

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_LISTENS = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry; `host` is what the names of its images begin with."""

    port: int
    needs_login: bool

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the digest of what a name stands for, `None` where there is none."""
        headers = {"Accept": ", ".join(_MANIFESTS)}
        if self.needs_login:
            headers["Authorization"] = f"Basic {credentials()}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("HEAD", f"/v2/{repository}/manifests/{tag}", headers=headers)
            response = connection.getresponse()
        finally:
            connection.close()
        return response.headers["Docker-Content-Digest"] if response.status == 200 else None


def credentials(password: str = PASSWORD) -> str:
    """Return the user and a password as an auth file holds them."""
    return base64.b64encode(f"{USER}:{password}".encode()).decode()


@contextmanager
def running(*, needs_login: bool = False) -> Iterator[Registry]:
    """Run a registry on a port of its own; its storage is gone after the block, and so is it."""
    program = debian.docker_registry()
    directory = Path(tempfile.mkdtemp(prefix="barasync-test-registry-"))
    try:
        (directory / "htpasswd").write_text(_HTPASSWD)
        (directory / "config.yml").write_text(_config(directory, needs_login=needs_login))
        # It ends with the tests, however they end.
        command = ["setpriv", "--pdeathsig", "KILL", program, "serve", directory / "config.yml"]
        log = directory / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            yield Registry(_port(process, log), needs_login)
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)
    finally:
        shutil.rmtree(directory)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Read from its log which port the kernel gave it."""
    wait_until(
        lambda: bool(_LISTENS.search(log.read_text())) or process.poll() is not None,
        "the registry listens",
    )
    found = _LISTENS.search(log.read_text())
    if found is None:
        raise debian.SetupError(f"the registry did not start:\n{log.read_text()[-3000:]}")
    return int(found[1])


def _config(directory: Path, *, needs_login: bool) -> str:
    login = f"auth: {{htpasswd: {{realm: rig, path: {directory}/htpasswd}}}}\n"
    return (
        "version: 0.1\n"
        "log: {level: info, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
        "http: {addr: '127.0.0.1:0', secret: rig}\n" + (login if needs_login else "")
    )
