"""A few requests to podman, made without the code that is being tested."""

from __future__ import annotations

import http.client
import io
import json
import socket
import tarfile
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

TIMEOUT = 60.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, socket_path: str) -> None:
        super().__init__("podman", timeout=TIMEOUT)
        self._socket_path = socket_path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._socket_path)


class RefusedError(Exception):
    """Podman answered with something else than 2xx."""


def request(
    socket_path: str,
    method: str,
    path: str,
    *,
    query: dict[str, str] | None = None,
    body: Any = None,
) -> Any:
    """Return podman's answer, decoded where it is JSON; `body` is bytes or becomes JSON."""
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
    connection = _UnixConnection(socket_path)
    try:
        target = f"/v4.0.0/libpod/{path}?{urlencode(query or {})}"
        connection.request(method, target, content, {"Content-Type": kind})
        response = connection.getresponse()
        data = response.read()
    finally:
        connection.close()
    if response.status // 100 != 2:
        raise RefusedError(f"{method} {path}: {response.status} {data.decode(errors='replace')}")
    try:
        return json.loads(data)
    except ValueError:
        return data


def containers(socket_path: str) -> dict[str, str]:
    """Return the names of all containers by ID."""
    found = request(socket_path, "GET", "containers/json", query={"all": "true"}) or []
    return {entry["Id"]: entry["Names"][0] for entry in found}


def containers_made(socket_path: str) -> frozenset[str]:
    """Return the IDs of the containers that a service has made, by its events.

    Podman drops the older half of its events when they take a megabyte: subtract one set from a
    later one, and never a number from a number.
    """
    query = {
        "stream": "false",
        "since": "1",
        "filters": json.dumps({"type": ["container"], "event": ["create"]}),
    }
    answer = request(socket_path, "GET", "events", query=query)
    lines = [answer] if isinstance(answer, dict) else map(json.loads, (answer or "").splitlines())
    return frozenset(event["Actor"]["ID"] for event in lines)


def images(socket_path: str) -> list[dict[str, Any]]:
    """Return all images and manifest lists, as podman lists them."""
    found: list[dict[str, Any]] = request(socket_path, "GET", "images/json", query={"all": "true"})
    return found


def is_of_rig(names: Iterable[str] | None) -> bool:
    """Tell whether an image with these names is one that the rig keeps for the session."""
    of_rig = ("localhost/busybox:", "localhost/rig:")
    return any(name.startswith(of_rig) for name in names or ())


def networks(socket_path: str) -> frozenset[str]:
    """Return the names of all networks."""
    return frozenset(entry["name"] for entry in request(socket_path, "GET", "networks/json"))


def exec_sessions(socket_path: str, container: str) -> list[dict[str, Any]]:
    """Return what podman tells of each command executed in a container."""
    inspected = request(socket_path, "GET", f"containers/{container}/json")
    sessions = inspected["ExecIDs"] or ()
    return [request(socket_path, "GET", f"exec/{each}/json") for each in sessions]


def remove_container(socket_path: str, container: str) -> None:
    """Remove a container, and those that are in its namespaces before it."""
    query = {"force": "true", "timeout": "0", "volumes": "true", "depend": "true"}
    request(socket_path, "DELETE", f"containers/{container}", query=query)


def remove_containers(socket_path: str, doomed: Iterable[str]) -> None:
    for container in doomed:
        # It may have gone with one whose namespace it had joined.
        if container in containers(socket_path):
            remove_container(socket_path, container)


def import_image(
    socket_path: str,
    archive: bytes,
    *,
    reference: str,
    architecture: str,
    change: str | None = None,
) -> str:
    """Make an image of a tar archive, changed as by a line of a Containerfile; return its ID."""
    query = {"reference": reference, "OS": "linux", "Architecture": architecture}
    query |= {} if change is None else {"changes": change}
    answer = request(socket_path, "POST", "images/import", query=query, body=archive)
    return str(answer["Id"]).removeprefix("sha256:")


def image_with_a_check(socket_path: str, base: str, check: str) -> str:
    """Build an image with this line as its HEALTHCHECK; return its name.

    It is in Docker's format: that of OCI has none. Podman 4 adds none in a commit.
    """
    name = "localhost/checked:1"
    text = f"FROM {base}\nHEALTHCHECK --interval=1h CMD {check}\n".encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("Containerfile")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    query = {
        "t": name,
        "dockerfile": "Containerfile",
        "outputformat": "application/vnd.docker.distribution.manifest.v2+json",
    }
    request(socket_path, "POST", "build", query=query, body=buffer.getvalue())
    return name


def run_container(socket_path: str, **spec: Any) -> tuple[int, bytes]:
    """Run a container to its end; return its exit code and raw log, and remove it."""
    created = request(socket_path, "POST", "containers/create", body=spec)
    container = f"containers/{created['Id']}"
    try:
        request(socket_path, "POST", f"{container}/start")
        code = request(socket_path, "POST", f"{container}/wait", query={"interval": "20ms"})
        query = {"stdout": "true", "stderr": "true"}
        log = request(socket_path, "GET", f"{container}/logs", query=query)
        return int(code), log if isinstance(log, bytes) else str(log).encode()
    finally:
        remove_container(socket_path, created["Id"])


def working_containers(socket_path: str) -> list[str]:
    """Return the containers that builders work in, which podman lists only where asked to.

    A podman that was killed while it made a container of its own leaves one that looks the same.
    """
    query = {"all": "true", "external": "true"}
    found = request(socket_path, "GET", "containers/json", query=query)
    return [container["Id"] for container in found or () if container["State"] == "storage"]
