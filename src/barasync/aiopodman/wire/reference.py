"""Image references: `[registry/]repository[:tag][@digest]`.

Source: distribution `reference/regexp.go`, which podman uses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAX_NAME = 255
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_IMAGE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")


class InvalidReference(ValueError):
    """The text is not an image reference; the message says which part is wrong."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference, taken apart; `str()` puts it together again.

    `registry` is the host with its port, empty for a short name, which podman resolves by its own
    configuration. `tag` and `digest` are empty where the reference has none.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The reference without tag and digest."""
        return f"{self.registry}/{self.repository}" if self.registry else self.repository

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return self.name + tag + digest


def is_image_id(text: str) -> bool:
    """Tell whether `text` is a full image ID, with or without `sha256:`."""
    return _IMAGE_ID.fullmatch(text) is not None


def parse_reference(text: str) -> Reference:
    """Take an image reference apart.

    Raises:
        InvalidReference: the text is none, or it is an image ID.
    """
    if is_image_id(text):
        raise InvalidReference(f"{text!r} is an image ID, not a reference")
    rest, at, digest = text.partition("@")
    if at and _DIGEST.fullmatch(digest) is None:
        raise InvalidReference(f"{text!r}: {digest!r} is not a digest such as 'sha256:1f3a…'")
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and _TAG.fullmatch(tag) is None:
        raise InvalidReference(
            f"{text!r}: {tag!r} is not a tag; use up to 128 letters, digits, '_', '.' and '-'"
        )
    registry, repository = _split_registry(head + slash + last)
    if registry and _REGISTRY.fullmatch(registry) is None:
        raise InvalidReference(f"{text!r}: {registry!r} is not a registry's host and port")
    if _REPOSITORY.fullmatch(repository) is None:
        raise InvalidReference(
            f"{text!r}: {repository!r} is not a repository; "
            "use lower-case letters, digits, '.', '_', '-' and '/'"
        )
    reference = Reference(registry, repository, tag, digest)
    if len(reference.name) > _MAX_NAME:
        raise InvalidReference(f"{text[:40]!r}…: the name is longer than {_MAX_NAME} characters")
    return reference


def _split_registry(name: str) -> tuple[str, str]:
    """Return registry and repository; the first component is a host only if it looks like one."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        return first, rest
    return "", name
