"""The images of the fake, each with a directory for its files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.fake.wire import Refusal

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def native_architecture() -> str:
    """Return this machine's architecture in OCI's spelling."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


@dataclass(slots=True, kw_only=True)
class Image:
    """An image: its files below `root`, its names, and what it gives to its containers."""

    id: str
    root: Path
    architecture: str
    os: str = "linux"
    names: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    env: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    user: str = ""
    stop_signal: str = ""
    work_dir: str = ""
    members: list[dict[str, Any]] | None = None
    parent: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    def inspect(self) -> dict[str, object]:
        """Return what `inspect` tells."""
        return {
            "Id": self.id,
            "Digest": f"sha256:{self.id}",
            "RepoTags": self.names,
            "RepoDigests": [],
            "Architecture": self.architecture,
            "Os": self.os,
            "Size": 0,
            "Created": self.created.isoformat(),
            "Labels": self.labels,
            "Annotations": self.annotations,
            "ManifestType": "application/vnd.oci.image.manifest.v1+json",
            "Config": {
                "Env": self.env,
                "Cmd": self.command,
                "Entrypoint": self.entrypoint,
                "User": self.user,
                "StopSignal": self.stop_signal,
                "WorkingDir": self.work_dir,
            },
        }

    def summary(self) -> dict[str, object]:
        """Return what a list tells."""
        return {
            "Id": self.id,
            "ParentId": self.parent,
            "Digest": f"sha256:{self.id}",
            "RepoTags": self.names,
            "Labels": self.labels,
            "Size": 0,
            "Created": int(self.created.timestamp()),
            "Arch": None if self.is_list else self.architecture,
            "IsManifestList": self.is_list,
        }

    @property
    def is_list(self) -> bool:
        """Whether it is a manifest list."""
        return self.members is not None

    def add_member(self, image: Image, platform: dict[str, str]) -> None:
        """Have an image in the list, once."""
        assert self.members is not None
        digest = f"sha256:{image.id}"
        others = [member for member in self.members if member["digest"] != digest]
        self.members = [*others, {"digest": digest, "platform": platform}]

    def take_files(self, root: Path) -> None:
        """Have the files of a container."""
        shutil.copytree(root, self.root, symlinks=True, dirs_exist_ok=True)

    def change(self, changes: Sequence[str]) -> None:
        """Apply Containerfile instructions about settings; values are as they are, or in quotes."""
        for instruction in changes:
            word, _, rest = instruction.partition(" ")
            name, _, value = rest.partition("=")
            value = value[1:-1] if value.startswith('"') else value
            match word:
                case "LABEL":
                    self.labels[name] = value
                case "ENV":
                    self.env = [each for each in self.env if not each.startswith(f"{name}=")]
                    self.env.append(f"{name}={value}")
                case "WORKDIR":
                    self.work_dir = rest
                case "USER":
                    self.user = rest
                case "STOPSIGNAL":
                    self.stop_signal = rest
                case "ENTRYPOINT":
                    self.entrypoint, self.command = json.loads(rest), []
                case "CMD":
                    self.command = json.loads(rest)


class Images:
    """All images of a service, below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._images: dict[str, Image] = {}
        self._made = 0

    def make(self, name: str, *, architecture: str, like: Image | None = None) -> Image:
        """Make an image without files, which takes the name from any other."""
        self._made += 1
        identity = hashlib.sha256(f"image {self._made}".encode()).hexdigest()
        root = self._directory / identity[:12]
        root.mkdir(parents=True)
        image = Image(id=identity, root=root, architecture=architecture or native_architecture())
        if like is not None:
            image.env, image.command = list(like.env), list(like.command)
            image.work_dir, image.labels = like.work_dir, dict(like.labels)
            image.entrypoint, image.user = list(like.entrypoint), like.user
            image.stop_signal, image.parent = like.stop_signal, like.id
        self._images[identity] = image
        if name:
            self.name(image, name)
        return image

    def name(self, image: Image, name: str) -> None:
        """Give an image one more name."""
        full = full_name(name)
        for other in self._images.values():
            if full in other.names:
                other.names.remove(full)
        image.names.append(full)

    def unname(self, image: Image, name: str) -> None:
        """Take a name from an image, which stays, even without one."""
        full = full_name(name)
        if full in image.names:
            image.names.remove(full)

    def find(self, reference: str, *, missing_status: int = 404) -> Image:
        """Return an image by ID, or the beginning of one, or by name.

        Of a manifest list it is the image for this machine.

        Raises:
            Refusal: there is none.
        """
        found = self.find_any(reference, missing_status=missing_status)
        for member in found.members or ():
            if member["platform"]["architecture"] == native_architecture():
                return self.find_any(member["digest"])
        if found.is_list:
            cause = "image not known"
            raise Refusal(404, cause, f"{reference}: no image found in image index: {cause}")
        return found

    def find_list(self, reference: str) -> Image:
        """Return a manifest list by ID or name.

        Raises:
            Refusal: there is none.
        """
        found = self.find_any(reference)
        if not found.is_list:
            cause = "image is not a manifest list"
            raise Refusal(500, cause, f"{reference}: {cause}")
        return found

    def find_any(self, reference: str, *, missing_status: int = 404) -> Image:
        """Return an image or a manifest list by ID or name.

        Raises:
            Refusal: there is none.
        """
        wanted = reference.removeprefix("sha256:")
        for image in self._images.values():
            if full_name(reference) in image.names or image.id.startswith(wanted):
                return image
        cause = "image not known"
        raise Refusal(missing_status, cause, f"{reference}: {cause}")

    def remove(self, reference: str, image: Image) -> None:
        """Take a name from an image, and remove it with its last, or when it is given by ID."""
        self.unname(image, reference)
        if image.names and not image.id.startswith(reference.removeprefix("sha256:")):
            return
        del self._images[image.id]
        shutil.rmtree(image.root)

    def listed(self, filters: dict[str, list[str]]) -> list[Image]:
        """Return the images that match podman's filters, `reference` and `label`."""
        names = {full_name(name) for name in filters.get("reference", ())}
        return [
            image
            for image in self._images.values()
            if (not names or names & set(image.names))
            and carries(image.labels, filters.get("label", ()))
        ]


def full_name(reference: str) -> str:
    """Complete a short name as podman does for what is local."""
    last = reference.rpartition("/")[2]
    tagged = reference if ":" in last or "@" in last else f"{reference}:latest"
    return tagged if "/" in reference else f"localhost/{tagged}"


def carries(labels: dict[str, str], wanted: Sequence[str]) -> bool:
    """Tell whether labels match every filter, `name` or `name=value`."""
    for text in wanted:
        name, equals, value = text.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True


def unpack(archive: bytes, directory: Path) -> None:
    """Unpack a tar archive of a test into a directory, which is made if it is missing.

    Raises:
        Refusal: it is no archive.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:*") as tar:
            tar.extractall(directory, filter="tar")
    except tarfile.TarError as error:
        raise Refusal(500, str(error), f"error creating archive: {error}") from error


def packed(path: Path, name: str) -> bytes:
    """Return a tar archive of a file or directory under a name, which ends with its end marker."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(path, arcname=name)
        end = tar.offset
    return buffer.getvalue()[:end] + bytes(1024)
