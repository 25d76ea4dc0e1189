"""From a request to the endpoint that answers it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.fake import (
    api_builds,
    api_containers,
    api_images,
    api_manifests,
    api_networks,
    api_secrets,
)
from tests.fake.container import Container
from tests.fake.faults import Effect, Refuses
from tests.fake.images import native_architecture
from tests.fake.state import State
from tests.fake.wire import Answer, Refusal, Request

_PREFIX = re.compile(r"^(/v[0-9.]+)?/libpod/")
_ROUTES = (
    ("GET", r"_ping", "ping"),
    ("GET", r"version", "version"),
    ("GET", r"info", "info"),
    ("GET", r"events", "events"),
    ("GET", r"networks/json", "networks"),
    ("POST", r"networks/create", "network-create"),
    ("GET", r"networks/(?P<name>[^/]+)/json", "network-inspect"),
    ("GET", r"networks/(?P<name>[^/]+)/exists", "network-exists"),
    ("DELETE", r"networks/(?P<name>[^/]+)", "network-delete"),
    ("GET", r"volumes/json", "volumes"),
    ("POST", r"commit", "commit"),
    ("POST", r"containers/create", "create"),
    ("GET", r"containers/json", "list"),
    ("GET", r"containers/(?P<name>[^/]+)/json", "inspect"),
    ("POST", r"containers/(?P<name>[^/]+)/(?P<operation>init|start|stop|kill|wait|attach)", ""),
    ("POST", r"containers/(?P<name>[^/]+)/(?P<operation>mount|unmount|rename)", ""),
    ("GET", r"containers/(?P<name>[^/]+)/(?P<operation>logs|archive|export|healthcheck)", ""),
    ("HEAD", r"containers/(?P<name>[^/]+)/archive", "stat"),
    ("PUT", r"containers/(?P<name>[^/]+)/archive", "put-archive"),
    ("DELETE", r"containers/(?P<name>[^/]+)", "delete"),
    ("POST", r"secrets/create", "secret-create"),
    ("GET", r"secrets/json", "secret-list"),
    ("GET", r"secrets/(?P<name>[^/]+)/json", "secret-inspect"),
    ("DELETE", r"secrets/(?P<name>[^/]+)", "secret-delete"),
    ("GET", r"images/json", "image-list"),
    ("POST", r"images/import", "image-import"),
    ("POST", r"images/pull", "image-pull"),
    ("POST", r"build", "build"),
    ("GET", r"images/(?P<name>.+)/json", "image-inspect"),
    ("POST", r"images/(?P<name>.+)/tag", "image-tag"),
    ("POST", r"images/(?P<name>.+)/untag", "image-untag"),
    ("DELETE", r"images/(?P<name>.+)", "image-delete"),
    ("GET", r"manifests/(?P<name>.+)/json", "manifest"),
    ("GET", r"manifests/(?P<name>.+)/exists", "manifest-exists"),
    ("POST", r"manifests/(?P<name>.+)/registry/.+", "manifest-push"),
    ("POST", r"manifests/(?P<name>.+)", "manifest-create"),
    ("PUT", r"manifests/(?P<name>.+)", "manifest-add"),
    ("DELETE", r"manifests/(?P<name>.+)", "manifest-delete"),
)
_OF_CONTAINERS = {
    "inspect": api_containers.inspect,
    "init": api_containers.init,
    "stop": api_containers.stop,
    "kill": api_containers.kill,
    "wait": api_containers.wait,
    "logs": api_containers.logs,
    "archive": api_containers.archive,
    "export": api_containers.export,
    "healthcheck": api_containers.healthcheck,
    "rename": api_containers.rename,
    "put-archive": api_containers.put_archive,
    "stat": api_containers.stat,
    "mount": api_containers.mount,
    "unmount": api_containers.unmount,
}
_OF_NAMED = {
    "secret-inspect": api_secrets.inspect,
    "secret-delete": api_secrets.delete,
    "network-inspect": api_networks.inspect,
    "network-exists": api_networks.exists,
    "network-delete": api_networks.delete,
    "image-inspect": api_images.inspect,
    "image-tag": api_images.tag,
    "image-untag": api_images.untag,
    "image-delete": api_images.delete,
    "manifest": api_manifests.inspect,
    "manifest-exists": api_manifests.exists,
    "manifest-create": api_manifests.create,
    "manifest-push": api_manifests.push,
    "manifest-add": api_manifests.add,
    "manifest-delete": api_manifests.delete,
}
_OTHERS = {
    "commit": api_containers.commit,
    "create": api_containers.create,
    "list": api_containers.listed,
    "networks": api_networks.listed,
    "network-create": api_networks.create,
    "secret-create": api_secrets.create,
    "secret-list": api_secrets.listed,
    "image-list": api_images.listed,
    "image-import": api_images.import_,
    "image-pull": api_images.pull,
    "build": api_builds.build,
}


@dataclass(frozen=True, slots=True)
class Route:
    """What a request asks for, and of which container or image."""

    operation: str
    name: str = ""

    def labels(self, state: State, request: Request) -> Mapping[str, str]:
        """Return the labels of the container that the request is about, none if it is of none."""
        if self.operation == "create":
            labels: Mapping[str, str] = request.document().get("labels", {})
            return labels
        name = request.first("container") if self.operation == "commit" else self.name
        for container in state.containers.values():
            if name and (name == container.name or container.id.startswith(name)):
                return container.labels
        return {}


def route(request: Request) -> Route:
    """Find the endpoint of a request.

    Raises:
        Refusal: there is none.
    """
    path, known = _PREFIX.subn("", request.path)
    for method, pattern, operation in _ROUTES:
        match = re.fullmatch(pattern, path)
        if known and method == request.method and match is not None:
            found = match.groupdict()
            return Route(operation or found["operation"], found.get("name", ""))
    raise Refusal(404, "Not Found", f"the fake does not know {request.method} {request.path}")


async def perform(state: State, request: Request, found: Route, effect: Effect | None) -> Answer:
    """Do what a request asks for.

    Raises:
        Refusal: podman would not.
    """
    operation = found.operation
    if isinstance(effect, Refuses):
        raise Refusal(effect.status, effect.cause, effect.message)
    if operation in _OTHERS:
        return await _OTHERS[operation](state, request)
    if operation in _OF_NAMED:
        return await _OF_NAMED[operation](state, found.name, request)
    if operation in {"ping", "version", "info", "events", "volumes"}:
        return _about_itself(state, request, operation)
    return await _of_container(state, state.container(found.name), request, operation, effect)


async def _of_container(
    state: State, container: Container, request: Request, operation: str, effect: Effect | None
) -> Answer:
    if operation == "start":
        return await api_containers.start(state, container, effect)
    if operation == "attach":
        return await api_containers.attach(state, container, effect)
    if operation == "delete":
        return await api_containers.delete(state, container, request, effect)
    return await _OF_CONTAINERS[operation](state, container, request)


def _about_itself(state: State, request: Request, operation: str) -> Answer:
    match operation:
        case "ping":
            headers = (("Libpod-API-Version", state.version), ("Server", "the fake"))
            return Answer(body=b"OK", headers=headers)
        case "version":
            return Answer.of(
                {
                    "Version": state.version,
                    "Os": "linux",
                    "Arch": native_architecture(),
                    "KernelVersion": platform.release(),
                    "Components": [{"Name": "Podman Engine", "Version": state.version}],
                }
            )
        case "events":
            since = request.first("since")
            records = state.records(
                _matcher(request.filters()),
                since=datetime.fromisoformat(since).timestamp() if since else None,
                stream=request.flag("stream", default=True),
            )
            return Answer(body=records)
        case "volumes":
            return Answer.of([])
        case _:
            return Answer.of(_info(state))


def _matcher(filters: Mapping[str, list[str]]) -> Any:
    def wanted(event: Mapping[str, Any]) -> bool:
        facts = {
            "container": event["Actor"]["ID"],
            "event": event["Action"],
            "type": event["Type"],
        }
        return all(facts[name] in values for name, values in filters.items() if name in facts)

    return wanted


def _info(state: State) -> dict[str, Any]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "host": {
            "arch": native_architecture(),
            "os": "linux",
            "kernel": platform.release(),
            "hostname": platform.node(),
            "cpus": os.cpu_count(),
            "memTotal": memory,
            "memFree": memory,
            "cgroupManager": "cgroupfs",
            "cgroupVersion": "v2",
            "eventLogger": "file",
            "logDriver": "k8s-file",
            "networkBackend": "netavark",
            "ociRuntime": {"name": "crun", "version": "fake"},
            "conmon": {"version": "fake"},
            "security": {"rootless": False},
        },
        "store": {"graphDriverName": "vfs", "graphRoot": str(state.directory)},
    }
