"""Images made from a Containerfile by podman's own builder."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from barasync.aiopodman.images import PullPolicy
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.login import RegistryLogin, login_headers
from barasync.aiopodman.models import BuildProgress
from barasync.aiopodman.spec import Rlimit
from barasync.aiopodman.streams import DecodedStream
from barasync.aiopodman.transfer import failed
from barasync.aiopodman.transport import Query
from barasync.aiopodman.wire.ndjson import RecordDecoder
from barasync.aiopodman.wire.reference import parse_reference

_PATH = "build"
_ID = re.compile(r"[0-9a-f]{64}")
# Without it no step is taken from the cache (`quirks.BUILD_HAS_NO_CACHE`).
_FORMAT = "application/vnd.oci.image.manifest.v1+json"
# Without it what is executed has the host's network (`quirks.BUILD_HAS_THE_HOSTS_NETWORK`).
_OWN_NETWORK = '[{"Name":"network","Host":false}]'
# Source: buildah `define.NetworkDisabled`.
_OFFLINE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    """What is to be built, and how.

    `containerfile` is a path in the context. `reference` becomes the image's name. `architecture`
    and `variant` are OCI's; podman takes a base of that platform alone. `labels` are those of the
    image and of those in between, which are kept as a cache: a step that was done with other labels
    is done anew. `annotations` are those of all images that are made, and nothing that a step is
    known by. `cgroup_parent` is the absolute name of the cgroup that what is executed is in. It has
    podman's default network, or none where it is `offline`. `arguments` are build arguments; those
    that name proxies are variables of what is executed, and nothing that a step is known by.
    Without `cache` every step is done anew.
    """

    containerfile: str
    reference: str
    architecture: str
    variant: str = ""
    os: str = "linux"
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cgroup_parent: str | None = None
    offline: bool = False
    arguments: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    pull: PullPolicy = "missing"
    cache: bool = True
    rlimits: Sequence[Rlimit] = ()

    def to_query(self) -> Query:
        """Return the parameters of the request."""
        platform = (self.os, self.architecture, self.variant)
        return {
            "dockerfile": self.containerfile,
            "t": self.reference,
            "platform": "/".join(part for part in platform if part),
            "labels": _json(self.labels),
            "layerLabel": [f"{name}={value}" for name, value in self.labels.items()],
            "annotations": _json([f"{name}={value}" for name, value in self.annotations.items()]),
            "cgroupparent": self.cgroup_parent,
            "buildargs": _json(self.arguments),
            "nsoptions": _OWN_NETWORK,
            "networkmode": _OFFLINE if self.offline else None,
            "pullpolicy": self.pull,
            "nocache": not self.cache,
            "ulimits": _json([f"{its.type}={its.soft}:{its.hard}" for its in self.rlimits]),
            "outputformat": _FORMAT,
            "layers": True,
            "rm": True,
            "forcerm": True,
        }


class Builds:
    """The builder of one podman service."""

    def __init__(self, libpod: Libpod) -> None:
        self._libpod = libpod

    async def build(
        self,
        spec: BuildSpec,
        context: AsyncIterable[bytes],
        *,
        login: RegistryLogin | None = None,
        tls_verify: bool | None = None,
        on_output: Callable[[str], Awaitable[None]] | None = None,
    ) -> str:
        """Make an image of a Containerfile and the files around it; return its ID.

        `context` is a tar archive, sent as it comes; podman unpacks it whole before it begins.
        `on_output` is awaited with what podman and the steps print, in pieces as they come. Takes
        as long as the steps do. `login` and `tls_verify` are for bases that are pulled, as in
        `images.pull`.

        After a failure no container is left, but the images of the steps that were done
        (`quirks.BUILD_LEAVES_LAYERS`). When cancelled, podman ends the step that it is at, and only
        then removes its containers (`quirks.BUILD_OUTLIVES_ITS_CLIENT`).

        Raises:
            ServerError: it cannot be built; podman says so after `200 OK`. Its cause names the step
                where there is one: `building at STEP "RUN false": …`.
            InvalidReference: the name is none.

        Source: `POST /libpod/build`.
        """
        parse_reference(spec.reference)
        failure = f"{spec.containerfile} cannot be built"
        image_id = problem = ""
        opened = self._libpod.stream(
            "POST",
            _PATH,
            {**spec.to_query(), "tlsVerify": tls_verify},
            unhurried=True,
            headers=login_headers(login),
            content=context,
        )
        async with opened as data:
            async for record in DecodedStream(data, RecordDecoder(BuildProgress)):
                problem = record.error or problem
                if record.stream and on_output is not None:
                    await on_output(record.stream)
                # The last line is the ID; a step may print one of its own before.
                line = record.stream.strip()
                image_id = line if _ID.fullmatch(line) else ""
        if problem or not image_id:
            reason = problem.strip() or "podman named no image at the end of the build"
            raise failed(_PATH, failure, reason)
        return image_id


def _json(value: object) -> str | None:
    return msgspec.json.encode(value).decode() if value else None
