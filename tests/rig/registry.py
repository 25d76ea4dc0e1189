"""A registry of images on loopback: Debian's `docker-registry`, with storage of its own."""

from __future__ import annotations

import base64
import http.client
import json
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
        response, _ = self._ask("HEAD", repository, tag)
        return response.headers["Docker-Content-Digest"] if response.status == 200 else None

    def members(self, repository: str, tag: str) -> dict[str, str]:
        """Return the digests of the images of a manifest list, by architecture."""
        _, body = self._ask("GET", repository, tag)
        entries = json.loads(body)["manifests"]
        return {entry["platform"]["architecture"]: entry["digest"] for entry in entries}

    def _ask(
        self, method: str, repository: str, tag: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        headers = {"Accept": ", ".join(_MANIFESTS)}
        if self.needs_login:
            headers["Authorization"] = f"Basic {credentials()}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, f"/v2/{repository}/manifests/{tag}", headers=headers)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()


def credentials(password: str = PASSWORD) -> str:
    """Return the user and a password as an auth file holds them."""
    return base64.b64encode(f"{USER}:{password}".encode()).decode()


@contextmanager
def running(*, needs_login: bool = False, tls: bool = False) -> Iterator[Registry]:
    """Run a registry on a port of its own; its storage is gone after the block, and so is it.

    With `tls` it has a certificate that it has signed itself.
    """
    program = debian.docker_registry()
    directory = Path(tempfile.mkdtemp(prefix="barasync-test-registry-"))
    try:
        (directory / "htpasswd").write_text(_HTPASSWD)
        if tls:
            _make_certificate(directory)
        config = _config(directory, needs_login=needs_login, tls=tls)
        (directory / "config.yml").write_text(config)
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


def _make_certificate(directory: Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise debian.SetupError("openssl is not installed; script/setup --test installs it")
    words = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-subj", "/CN=rig", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    words += ["-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem")]
    subprocess.run([program, "req", *words], check=True, capture_output=True)


def _config(directory: Path, *, needs_login: bool, tls: bool) -> str:
    login = f"auth: {{htpasswd: {{realm: rig, path: {directory}/htpasswd}}}}\n"
    files = f"{{certificate: {directory}/certificate.pem, key: {directory}/key.pem}}"
    http = f"addr: '127.0.0.1:0', secret: rig{f', tls: {files}' if tls else ''}"
    return (
        "version: 0.1\n"
        "log: {level: info, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
        f"http: {{{http}}}\n" + (login if needs_login else "")
    )
