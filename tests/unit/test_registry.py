"""Transfers that fail: which are tried again, and what is said of the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest

from barasync.errors import EngineUnavailable, ImageError
from barasync.images.failures import WrongPlatform
from barasync.images.registry import Registries, pull, push
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
        ('Get "https://r.invalid/v2/": dial tcp: lookup r.invalid on 127.0.0.53:53: no such host'),
        Trouble.UNREACHABLE,
    ),
    (
        "dial tcp: lookup r.invalid: Temporary failure in name resolution",
        Trouble.BROKEN,
    ),
    (
        'Get "https://127.0.0.1:5000/v2/": http: server gave HTTP response to HTTPS client',
        Trouble.NO_TLS,
    ),
    (
        'Get "https://r.example/v2/": x509: certificate signed by unknown authority',
        Trouble.CERTIFICATE,
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


# Silence


class Hanging(ImageStore):
    """A store that says a few words of a pull and then nothing more."""

    def __init__(self, *words: str) -> None:
        super().__init__()
        self.words = words
        self.given_up = False

    async def _handle(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/images/pull"):
            return await super()._handle(request)
        return httpx2.Response(200, content=self._said())

    async def _said(self) -> AsyncIterator[bytes]:
        try:
            for line in self.words:
                yield json.dumps({"stream": line}).encode() + b"\n"
            await anyio.sleep_forever()
        finally:
            self.given_up = True


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("words", "how", "said", "step"),
    [
        (
            (),
            Registries(environ={}, silent_before=0.05, silent_amid=60.0),
            r"r\.example answers nothing, for 0\.05 s: asking the registry$",
            "look at the registry",
        ),
        (
            ("Trying to pull x...", f"Copying blob sha256:{'a' * 64}"),
            Registries(environ={}, silent_before=60.0, silent_amid=0.06),
            r"nothing new of the transfer with r\.example, for 0\.06 s: 1 layer begun$",
            "a layer that takes longer needs a faster connection",
        ),
    ],
    ids=["before", "amid"],
)
async def test_a_registry_that_says_nothing_more_is_given_up(
    words: tuple[str, ...], how: Registries, said: str, step: str
) -> None:
    store = Hanging(*words)

    async with store.client() as podman:
        with pytest.raises(ImageError, match="cannot be pulled: " + said) as caught:
            await pull(podman, NAME, AMD64, how, on_progress=[].append)

    assert store.given_up
    assert step in (caught.value.hint or "")


def test_a_large_layer_has_hours_to_come_through_a_slow_connection() -> None:
    """Podman says nothing between the beginnings of two layers."""
    ten_mbit = 10_000_000 / 8

    assert Registries(environ={}).silent_amid * ten_mbit > 25e9


# What a push comes to


class Receiving(ImageStore):
    """A store that sends an image, whose digest in the registry podman tells or does not."""

    def __init__(self, digest: str, *, there: dict[str, str]) -> None:
        super().__init__()
        self.digest = digest
        self.sent = self.add("localhost/tool:1", "amd64")
        for architecture, image in there.items():
            self.registry[NAME, architecture] = StoredImage(image * 64, [], architecture)

    async def _handle(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path.endswith("/push"):
            lines: list[dict[str, str]] = [{"stream": "Writing manifest"}]
            lines += [{"manifestdigest": self.digest}] if self.digest else []
            return httpx2.Response(200, text="\n".join(map(json.dumps, lines)))
        if path.endswith("/exists") and "barasync" not in path:
            return httpx2.Response(404, json={"cause": "no list", "message": "no list"})
        return await super()._handle(request)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("told", "there", "digest", "why"),
    [
        ("sha256:" + "e" * 64, {}, "sha256:" + "e" * 64, ""),
        ("", {"amd64": "a"}, "sha256:" + "a" * 64, ""),
        # Somebody else has pushed there since.
        ("", {"arm64": "a"}, "", f"{NAME} stands for something else there by now"),
        ("", {"amd64": "a", "arm64": "b"}, "", f"{NAME} stands for something else there by now"),
        ("", {}, "", "this podman does not tell it, and could not ask the registry for it"),
    ],
    ids=["told", "found", "another-platform", "a-list", "unknown"],
)
async def test_a_push_comes_to_the_digest_that_is_there_or_says_that_it_is_not_known(
    told: str, there: dict[str, str], digest: str, why: str
) -> None:
    store = Receiving(told, there=there)
    said: list[str] = []

    async with store.client() as podman:
        how = Registries(environ={})
        found = await push(podman, "localhost/tool:1", NAME, how, on_progress=said.append)

    assert found == digest
    assert said == ([f"note: it is there, its digest is not known: {why}"] if why else [])
    assert store.drafts == {}
