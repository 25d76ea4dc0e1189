"""Builds of a Containerfile: what is asked of podman, and what is made of its answers."""

from __future__ import annotations

import json

import pytest

from barasync.aiopodman import BuildSpec, InvalidReference, Rlimit, ServerError
from tests.unit.recorded import answering, stream_of

pytestmark = pytest.mark.anyio

SPEC = BuildSpec(containerfile="Containerfile", reference="localhost/x:y", architecture="arm64")
ID = "1f3a" * 16


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def stream(*texts: str, error: str = "") -> bytes:
    lines = [json.dumps({"stream": text}) for text in texts]
    if error:
        lines.append(json.dumps({"errorDetail": {"message": error}, "error": error}))
    return ("\n".join(lines) + "\n").encode()


async def test_a_build_sends_its_context_and_returns_the_id_of_the_last_line() -> None:
    answer = stream("STEP 1/2: FROM x\n", f"{'9c' * 32}\n", f"{ID}\n")
    service = answering(200, content=stream_of(answer[:50], answer[50:]))
    printed: list[str] = []

    async def hear(text: str) -> None:
        printed.append(text)

    async with service.client() as podman:
        image = await podman.builds.build(SPEC, stream_of(b"t", b"ar"), on_output=hear)

    assert image == ID
    assert printed[0] == "STEP 1/2: FROM x\n"
    assert (service.only.path, service.only.body) == ("/libpod/build", b"tar")
    assert service.only.query == {
        "dockerfile": ["Containerfile"],
        "t": ["localhost/x:y"],
        "platform": ["linux/arm64"],
        "nsoptions": ['[{"Name":"network","Host":false}]'],
        "pullpolicy": ["missing"],
        "nocache": ["false"],
        "outputformat": ["application/vnd.oci.image.manifest.v1+json"],
        "layers": ["true"],
        "rm": ["true"],
        "forcerm": ["true"],
    }


async def test_a_build_says_what_it_is_to_be_like() -> None:
    service = answering(200, content=stream_of(stream(f"{ID}\n")))
    spec = BuildSpec(
        containerfile="a/b",
        reference="localhost/x:y",
        architecture="arm",
        variant="v7",
        labels={"a": "b"},
        offline=True,
        arguments={"http_proxy": "http://p"},
        pull="always",
        cache=False,
        rlimits=(Rlimit("nofile", 10, 20),),
    )

    async with service.client() as podman:
        await podman.builds.build(spec, stream_of(b"tar"), tls_verify=False)

    query = service.only.query
    assert query["platform"] == ["linux/arm/v7"]
    assert query["tlsVerify"] == ["false"]
    assert query["labels"] == ['{"a":"b"}']
    assert query["layerLabel"] == ["a=b"]
    assert query["networkmode"] == ["1"]
    assert query["buildargs"] == ['{"http_proxy":"http://p"}']
    assert query["ulimits"] == ['["nofile=10:20"]']
    assert (query["pullpolicy"], query["nocache"]) == (["always"], ["true"])


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (stream("STEP 1/1: FROM x\n", error="no route to host\n"), "no route to host"),
        (stream(f"{ID}\n", error="no space left on device\n"), "no space left on device"),
        (stream(f"{ID}\n", "and then the end\n"), "podman named no image at the end"),
        (b"", "podman named no image at the end"),
    ],
)
async def test_a_build_that_fails_after_200_is_an_error(answer: bytes, problem: str) -> None:
    async with answering(200, content=stream_of(answer)).client() as podman:
        with pytest.raises(ServerError, match=f"Containerfile cannot be built: {problem}"):
            await podman.builds.build(SPEC, stream_of(b"tar"))


async def test_a_bad_name_is_refused_before_anything_is_sent() -> None:
    service = answering(200, content=stream_of(b""))
    spec = BuildSpec(containerfile="Containerfile", reference="BAD", architecture="arm64")

    async with service.client() as podman:
        with pytest.raises(InvalidReference):
            await podman.builds.build(spec, stream_of(b"tar"))

    assert service.seen == []
