"""Transfers that fail: which are tried again, and what is said of the others."""

from __future__ import annotations

import hashlib

import pytest

from barasync.errors import EngineUnavailable, ImageError
from barasync.images.failures import WrongPlatform
from barasync.images.registry import Registries, pull
from barasync.images.trouble import Trouble, sense_of, trouble_of
from barasync.matrix.platforms import parse
from tests.unit.image_store import ImageStore, StoredImage

AMD64 = parse("amd64")
NAME = "r.example/team/tool:1"
AT = f"initializing source docker://{NAME}: reading manifest 1 in r.example/team/tool: "

# Podman's words, as measured on 4.3.1 and 5.4.2.
WORDS = [
    (AT + "manifest unknown: manifest unknown", Trouble.MISSING),
    (AT + "manifest unknown", Trouble.MISSING),
    (AT + "manifest unknown: OCI index found, but accept header does not", Trouble.MISSING),
    (AT + "unauthorized: authentication required", Trouble.LOGIN),
    (AT + "authentication required", Trouble.LOGIN),
    (AT + "StatusCode: 403, ", Trouble.FORBIDDEN),
    (AT + 'StatusCode: 403, ""', Trouble.FORBIDDEN),
    (AT + "StatusCode: 429, ", Trouble.BUSY),
    (AT + "toomanyrequests: You have reached your pull rate limit", Trouble.BUSY),
    (AT + "denied: requested access to the resource is denied", Trouble.FORBIDDEN),
    (AT + "received unexpected HTTP status: 500 Internal Server Error", Trouble.FAILING),
    (AT + "received unexpected HTTP status: 503 Service Unavailable", Trouble.FAILING),
    ("parsing image configuration: unexpected EOF", Trouble.BROKEN),
    (
        (
            "parsing image configuration: (heuristic tuning data: total 305 @1041.648 ms, last"
            " retry 429 @0.017 ms, last progress @ 0.008 ms): unexpected EOF"
        ),
        Trouble.BROKEN,
    ),
    (
        (
            "parsing image configuration: Error fetching blob: invalid status code from registry"
            " 500 (Internal Server Error)"
        ),
        Trouble.FAILING,
    ),
    (
        (
            'pinging container registry 127.0.0.1:1: Get "http://127.0.0.1:1/v2/": dial tcp'
            " 127.0.0.1:1: connect: connection refused"
        ),
        Trouble.UNREACHABLE,
    ),
    (
        'Get "https://127.0.0.1:5000/v2/": http: server gave HTTP response to HTTPS client',
        Trouble.TLS,
    ),
    (
        'Get "https://r.example/v2/": x509: certificate signed by unknown authority',
        Trouble.TLS,
    ),
    ('Get "https://r.example/v2/": net/http: TLS handshake timeout', Trouble.BROKEN),
    ("writing blob: storing blob to file: write /x: no space left on device", Trouble.NO_SPACE),
    (
        (
            f"choosing an image from manifest list docker://{NAME}: no image found in image index"
            ' for architecture s390x, variant "", OS linux'
        ),
        Trouble.PLATFORM,
    ),
    ("localhost/denied-404:1: image not known", Trouble.NOT_HERE),
    ('short-name "x" did not resolve to an alias', Trouble.OTHER),
    # Names are no reasons.
    (
        "reading manifest 404 in r.example/denied: unauthorized: authentication required",
        Trouble.LOGIN,
    ),
]


@pytest.mark.parametrize(("words", "trouble"), WORDS)
def test_podmans_words_are_understood(words: str, trouble: Trouble) -> None:
    assert trouble_of(words) is trouble


@pytest.mark.parametrize("trouble", Trouble)
def test_what_is_said_of_a_trouble_is_whole(trouble: Trouble) -> None:
    sense = sense_of(trouble, "r.example", None)

    if trouble in {Trouble.PLATFORM, Trouble.OTHER}:
        assert sense is None
    else:
        assert sense is not None
        assert "{" not in sense.meaning + sense.step


def test_who_was_refused_is_said() -> None:
    refused = sense_of(Trouble.LOGIN, "r.example", "me in /auth.json")
    nobody = sense_of(Trouble.LOGIN, "r.example", None)

    assert refused is not None
    assert refused.meaning == "r.example does not accept the login of me in /auth.json (401)"
    assert nobody is not None
    assert "`podman login r.example`" in nobody.step


# Trying again


class Unsteady(ImageStore):
    """A store whose registry fails with some words first."""

    def __init__(self, *words: str) -> None:
        image = StoredImage(hashlib.sha256(NAME.encode()).hexdigest(), [], "amd64")
        super().__init__(registry={(NAME, "amd64"): image})
        self.words = list(words)

    def given(self, reference: str, architecture: str) -> StoredImage | str:
        return self.words.pop(0) if self.words else super().given(reference, architecture)


async def pulled(store: ImageStore, tries: int, said: list[str] | None = None) -> str:
    registries = Registries(environ={}, pauses=(0.001,) * (tries - 1))
    lines: list[str] = [] if said is None else said
    async with store.client() as podman:
        return await pull(podman, NAME, AMD64, registries, on_progress=lines.append)


@pytest.mark.anyio
async def test_what_may_pass_is_tried_again_and_that_is_said() -> None:
    store = Unsteady("unexpected EOF", AT + "received unexpected HTTP status: 502 Bad Gateway")
    said: list[str] = []

    image = await pulled(store, 3, said)

    assert store.find(image) is not None
    assert said[0] == "unexpected EOF; trying again in 0.001 s"
    assert store.requests.count("POST images/pull") == 3


@pytest.mark.anyio
async def test_what_does_not_pass_is_told_after_the_last_try() -> None:
    store = Unsteady(*["unexpected EOF"] * 9)

    with pytest.raises(ImageError, match=r"cannot be pulled: the connection to r\.example broke"):
        await pulled(store, 3)

    assert store.requests.count("POST images/pull") == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    "words", [words for words, trouble in WORDS if trouble not in {Trouble.FAILING, Trouble.BROKEN}]
)
async def test_what_will_not_pass_is_not_tried_again(words: str) -> None:
    store = Unsteady(words)

    with pytest.raises(ImageError) as caught:
        await pulled(store, 3)

    assert words in str(caught.value)
    assert store.requests.count("POST images/pull") == 1


@pytest.mark.anyio
async def test_an_image_for_other_platforms_only_is_of_the_wrong_platform() -> None:
    with pytest.raises(WrongPlatform, match="for other platforms only: no image found in manifest"):
        await pulled(Unsteady("no image found in manifest list for architecture s390x"), 1)


@pytest.mark.anyio
async def test_a_podman_that_is_gone_is_not_a_trouble_of_the_registry() -> None:
    store = Unsteady()

    async with store.client() as podman:
        store.broken = True
        with pytest.raises(EngineUnavailable, match="cannot be pulled"):
            await pull(podman, NAME, AMD64, Registries(environ={}), on_progress=[].append)
