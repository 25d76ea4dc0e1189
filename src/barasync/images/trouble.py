"""What podman's words about a registry mean; pure.

Podman passes on what a registry said as text, whose form depends on the version: measured on 4.3.1
and 5.4.2 against docker-registry 2.8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Trouble(Enum):
    """Why a transfer failed; the values are how podman says so."""

    NOT_HERE = r"image not known"
    NO_SPACE = r"no space left on device|disk quota exceeded"
    PLATFORM = r"no image found in (manifest list|image index)"
    NO_TLS = r"HTTP response to HTTPS client"
    CERTIFICATE = r"x509: |tls: "
    BUSY = r"\b429\b|toomanyrequests|too many requests"
    LOGIN = r"unauthorized|authentication required|invalid username/password|\b401\b"
    FORBIDDEN = r"\b403\b|denied"
    MISSING = r"manifest unknown|name unknown|\b404\b|not found"
    FAILING = r"(status(Code)?:? |registry )5\d\d\b|internal server error|bad gateway|unavailable"
    UNREACHABLE = r"connection refused|no such host|network is unreachable|no route to host"
    BROKEN = (
        r"\bEOF\b|connection reset|broken pipe|i/o timeout|handshake timeout|server misbehaving"
        r"|GOAWAY|stream error|deadline exceeded|use of closed network connection"
        r"|temporary failure in name resolution"
    )
    OTHER = r""


@dataclass(frozen=True, slots=True)
class Sense:
    """What a trouble means, and what can be done about it."""

    meaning: str
    step: str


def trouble_of(words: str) -> Trouble:
    """Tell what kind of trouble podman speaks of.

    It says last what went wrong. What it says before has names and numbers, in which there may be
    anything, and only what stands right before the last is looked at as well.
    """
    parts = words.split(": ")
    for said in (parts[-1], ": ".join(parts[-2:])):
        for kind in Trouble:
            if kind.value and re.search(kind.value, said, re.IGNORECASE):
                return kind
    return Trouble.OTHER


_SENSES = {
    Trouble.LOGIN: (
        "{registry} does not accept the login of {user} (401)",
        "log in again with `podman login {registry}`",
    ),
    Trouble.FORBIDDEN: (
        "{registry} does not allow this to {user} (403)",
        "ask for access, or log in as somebody else with `podman login {registry}`",
    ),
    Trouble.MISSING: (
        "{registry} has no such repository or tag (404)",
        "look at the spelling; a private image may show only to who has logged in",
    ),
    Trouble.BUSY: (
        "{registry} asks for fewer requests (429)",
        "try again later; `podman login {registry}` often raises the limit",
    ),
    Trouble.FAILING: (
        "{registry} fails (500 or above)",
        "try again later, or ask who runs the registry",
    ),
    Trouble.BROKEN: (
        "the connection to {registry} broke",
        "try again later; look at the network and the proxy of podman's service",
    ),
    Trouble.UNREACHABLE: (
        "{registry} cannot be reached",
        "look at the name, and at the network and the proxy of podman's service",
    ),
    Trouble.NO_TLS: (
        "{registry} has no TLS",
        "`--insecure` does without, where nobody can be in between",
    ),
    Trouble.CERTIFICATE: (
        "{registry} has a certificate that podman does not trust",
        (
            "put its authority's into /etc/containers/certs.d/{registry}/ca.crt where podman's "
            "service runs; `--insecure` accepts any, where nobody can be in between"
        ),
    ),
    Trouble.NOT_HERE: (
        "there is no such image on this podman service",
        "`barasync image list` and `podman images` show which there are",
    ),
    Trouble.NO_SPACE: (
        "podman's storage has no space left",
        "`barasync image prune` and `podman system prune` make room",
    ),
}
_NOBODY = (
    "{registry} wants a login, and no auth file here has one (401)",
    "use `podman login {registry}`; some registries say so of an image that does not exist",
)


def sense_of(trouble: Trouble, registry: str, user: str | None) -> Sense | None:
    """Say a trouble with a registry in words; `None` where podman's own have to do.

    `user` is who we were there, `None` for nobody.
    """
    if trouble is Trouble.LOGIN and user is None:
        texts: tuple[str, str] | None = _NOBODY
    else:
        texts = _SENSES.get(trouble)
    if texts is None:
        return None
    meaning, step = (
        text.format(registry=registry, user=user or "who has not logged in") for text in texts
    )
    return Sense(meaning, step)
