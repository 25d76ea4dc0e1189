"""Images of a real registry, on its good days and on its bad ones."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from barasync.aiopodman import Member, Podman
from barasync.errors import ImageError
from barasync.images.failures import WrongPlatform
from barasync.images.freshness import Freshness
from barasync.images.listing import Listing
from barasync.images.manifest import publish
from barasync.images.registry import Registries, pull, push
from barasync.images.resolve import ResolvedImage, resolve
from barasync.matrix.platforms import Platform, parse
from tests.contract.registry_images import Published, made, published
from tests.rig import faulty_registry, registry
from tests.rig.faulty_registry import BLOB, MANIFEST, Fault, FaultyRegistry
from tests.rig.registry import PASSWORD, USER, Registry, credentials

pytestmark = pytest.mark.anyio

AMD64, ARM64, RISCV64, S390X = map(parse, ("amd64", "arm64", "riscv64", "s390x"))
PUT_MANIFEST = r"PUT /v2/.+/manifests/"


def registries(environ: dict[str, str] | None = None, tries: int = 4) -> Registries:
    return Registries(environ=environ or {}, insecure=True, pauses=(0.01,) * (tries - 1))


def logged_in(directory: Path, registry: Registry, auth: str) -> dict[str, str]:
    """The environment of somebody whose auth file has an entry."""
    path = directory / "auth.json"
    path.write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
    return {"REGISTRY_AUTH_FILE": str(path)}


async def resolved(
    podman: Podman, reference: str, platform: Platform, when: Freshness = Freshness.MISSING
) -> ResolvedImage:
    how = Registries(environ={}, insecure=True, pull=when)
    listing = Listing(podman)
    return await resolve(
        podman, reference, platform, (), how, listing=listing, on_progress=lambda _: None
    )


def request_for(wanted: str, image: Published) -> str:
    """The request for the manifest, the configuration or the layer of an image for amd64."""
    config = f"sha256:{image.ids['amd64']}"
    return {"manifest": MANIFEST, "config": BLOB + config, "layer": f"{BLOB}(?!{config})"}[wanted]


async def pulled(
    podman: Podman, image: Published, proxy: FaultyRegistry, *, tries: int = 4
) -> tuple[str, list[str]]:
    """Pull an image through the proxy; return its ID and what was said meanwhile."""
    said: list[str] = []
    name = re.sub(r"^[^/]+", proxy.host, image.reference)
    image_id = await pull(podman, name, AMD64, registries(tries=tries), on_progress=said.append)
    return image_id, said


# Architectures


async def test_a_manifest_list_of_a_registry_gives_every_platform_its_image(
    podman: Podman, open_registry: Registry
) -> None:
    async with published(podman, open_registry, "all", "amd64", "arm64", "riscv64") as image:
        found = {
            platform: await resolved(podman, image.reference, platform)
            for platform in (AMD64, ARM64, RISCV64, AMD64)
        }
        with pytest.raises(WrongPlatform, match="s390x"):
            await resolved(podman, image.reference, S390X)

    assert {platform.architecture: one.id for platform, one in found.items()} == image.ids
    repository = image.reference.removesuffix(":1")
    for platform, one in found.items():
        assert one.list_digest == f"{repository}@{image.digest}"
        assert one.digest == f"{repository}@{image.digests[platform.architecture]}"


async def test_a_digest_of_a_manifest_list_pins_the_images_of_all_platforms(
    podman: Podman, open_registry: Registry
) -> None:
    async with published(podman, open_registry, "pinned", "amd64", "arm64") as image:
        pinned = f"{image.reference.removesuffix(':1')}@{image.digest}"
        found = [(await resolved(podman, pinned, each)).id for each in (AMD64, ARM64, AMD64)]
        for image_id in image.ids.values():
            assert image_id in found

    assert found == [image.ids["amd64"], image.ids["arm64"], image.ids["amd64"]]


async def test_what_a_tag_stands_for_now_is_fetched_where_that_is_asked_for(
    podman: Podman, open_registry: Registry
) -> None:
    async with published(podman, open_registry, "moving", "amd64") as old:
        assert (await resolved(podman, old.reference, AMD64)).id == old.ids["amd64"]
        async with published(podman, open_registry, "moving", "amd64") as new:
            again = await resolved(podman, new.reference, AMD64)
            fresh = await resolved(podman, new.reference, AMD64, Freshness.ALWAYS)
            after = await resolved(podman, new.reference, AMD64, Freshness.NEVER)

    assert again.id == old.ids["amd64"]
    assert fresh.id == after.id == new.ids["amd64"]


async def test_a_list_that_changes_between_two_platforms_is_taken_as_it_was(
    podman: Podman, open_registry: Registry
) -> None:
    how = Registries(environ={}, insecure=True)
    said: list[str] = []
    async with published(podman, open_registry, "changed", "amd64", "arm64") as old:
        first = await resolve(
            podman, old.reference, AMD64, (), how, listing=Listing(podman), on_progress=said.append
        )
        async with published(podman, open_registry, "changed", "amd64", "arm64"):
            # Its images are others.
            second = await resolve(
                podman,
                old.reference,
                ARM64,
                (),
                how,
                listing=Listing(podman),
                on_progress=said.append,
            )

    assert (first.id, second.id) == (old.ids["amd64"], old.ids["arm64"])
    assert second.digest.endswith(f"@{old.digests['arm64']}")
    assert any("has changed in its registry since linux/amd64 was taken" in line for line in said)


async def test_an_image_that_two_lists_hold_has_the_list_of_the_name_that_was_asked_for(
    podman: Podman, open_registry: Registry
) -> None:
    async with published(podman, open_registry, "first", "amd64", "arm64") as image:
        one = await resolved(podman, image.reference, AMD64)
        repository = image.reference.removesuffix(":1")
        name = "localhost/barasync-test/second:1"
        list_id = await podman.manifests.create(name)
        try:
            await podman.manifests.add(list_id, Member(image=one.id, architecture="amd64"))
            digest = await podman.manifests.push(name, f"{repository}:2", tls_verify=False)
        finally:
            await podman.manifests.remove(list_id)
        two = await resolved(podman, f"{repository}:2", AMD64, Freshness.ALWAYS)
        again = await resolved(podman, image.reference, AMD64, Freshness.NEVER)

    assert one.id == two.id
    assert digest != image.digest
    assert two.list_digest == f"{repository}@{digest}"
    assert one.list_digest == again.list_digest == f"{repository}@{image.digest}"


async def test_a_list_of_pulled_images_is_known_by_them(
    podman: Podman, open_registry: Registry
) -> None:
    name = "localhost/barasync-test/of-pulled:1"
    async with published(podman, open_registry, "members", "amd64", "arm64") as image:
        ids = {each: (await resolved(podman, image.reference, each)).id for each in (AMD64, ARM64)}
        list_id = await publish(podman, name, ids)
        try:
            again = await publish(podman, name, ids)
            found = {each: (await resolved(podman, name, each)).id for each in ids}
        finally:
            await podman.manifests.remove(name)

    assert again == list_id
    assert found == ids


# Logins


async def test_the_auth_file_logs_in_for_a_push_and_a_pull(
    podman: Podman, closed_registry: Registry, tmp_path: Path
) -> None:
    how = registries(logged_in(tmp_path, closed_registry, credentials()))
    name = f"{closed_registry.host}/team/tool:1"
    said: list[str] = []
    async with made(podman) as image:
        digest = await push(podman, image, name, how, on_progress=said.append)
        await podman.images.remove(image, force=True)
        assert await pull(podman, name, AMD64, how, on_progress=said.append) == image

    assert digest == closed_registry.digest("team/tool", "1")
    assert said == []


async def test_without_a_login_the_next_step_is_said(
    podman: Podman, closed_registry: Registry
) -> None:
    host = closed_registry.host
    with pytest.raises(ImageError, match=r"wants a login, and no auth file here has one") as caught:
        await pull(podman, f"{host}/team/x:1", AMD64, registries(), on_progress=lambda _: None)

    assert caught.value.hint is not None
    assert f"`podman login {host}`" in caught.value.hint


async def test_a_login_that_is_refused_is_named_and_its_password_is_not(
    podman: Podman, closed_registry: Registry, tmp_path: Path
) -> None:
    auth = credentials(PASSWORD[::-1])
    how = registries(logged_in(tmp_path, closed_registry, auth))

    async with made(podman) as image:
        with pytest.raises(ImageError, match=rf"does not accept the login of {USER} in ") as caught:
            await push(
                podman, image, f"{closed_registry.host}/a/b:1", how, on_progress=lambda _: None
            )

    assert PASSWORD[::-1] not in f"{caught.value}{caught.value.hint}"


# Bad days


async def test_a_name_that_the_registry_does_not_know_is_told_at_once(
    podman: Podman, faulty: FaultyRegistry
) -> None:
    with pytest.raises(ImageError, match=r"has no such repository or tag \(404\)"):
        await pull(
            podman, f"{faulty.host}/none/x:1", AMD64, registries(), on_progress=lambda _: None
        )

    assert faulty.seen(MANIFEST) == 1


@pytest.mark.parametrize(
    ("wanted", "status", "times"),
    [("manifest", 500, 2), ("layer", 503, 1), ("config", 0, 2), ("layer", 0, 2)],
    ids=["manifest-500", "layer-503", "config-half-way", "layer-half-way"],
)
async def test_a_failure_that_passes_is_outlasted(
    podman: Podman,
    open_registry: Registry,
    faulty: FaultyRegistry,
    *,
    wanted: str,
    status: int,
    times: int,
) -> None:
    async with published(podman, open_registry, "passing", "amd64") as image:
        fault = Fault(matching=request_for(wanted, image), status=status, times=times)
        faulty.faults = [fault]
        found, _ = await pulled(podman, image, faulty)

    assert found == image.ids["amd64"]
    assert fault.times == 0
    assert faulty.seen(fault.matching) > times


@pytest.mark.parametrize(
    ("wanted", "status", "words"),
    [
        ("manifest", 500, r" fails \(500 or above\): .*500 Internal Server Error"),
        ("layer", 0, r"the connection to .* broke: .*unexpected EOF"),
    ],
    ids=["manifest-500", "layer-half-way"],
)
async def test_a_failure_that_stays_is_told_after_a_few_tries_and_leaves_no_image(
    podman: Podman,
    open_registry: Registry,
    faulty: FaultyRegistry,
    *,
    wanted: str,
    status: int,
    words: str,
) -> None:
    before = {image.id for image in await podman.images.list(all=True)}
    async with published(podman, open_registry, "failing", "amd64") as image:
        faulty.faults = [Fault(matching=request_for(wanted, image), status=status)]
        with pytest.raises(ImageError, match=words):
            await pulled(podman, image, faulty, tries=2)

        assert {image.id for image in await podman.images.list(all=True)} == before
    assert faulty.seen(MANIFEST) >= 2


async def test_podman_waits_as_long_as_a_busy_registry_asks_for(
    podman: Podman, open_registry: Registry, faulty: FaultyRegistry
) -> None:
    headers = {"Retry-After": "1"}
    async with published(podman, open_registry, "busy", "amd64") as image:
        faulty.faults = [Fault(matching=MANIFEST, status=429, headers=headers, times=1)]
        found, said = await pulled(podman, image, faulty, tries=1)

    assert found == image.ids["amd64"]
    assert not any("trying again" in line for line in said)


@pytest.mark.parametrize(
    ("status", "words"), [(500, "500 Internal Server Error"), (429, "StatusCode: 429, ")]
)
async def test_a_push_outlasts_a_failure_that_passes(
    podman: Podman, open_registry: Registry, faulty: FaultyRegistry, status: int, words: str
) -> None:
    said: list[str] = []
    faulty.faults = [Fault(matching=PUT_MANIFEST, status=status, times=1)]
    async with made(podman) as image:
        name = f"{faulty.host}/test/pushed-{status}:1"
        await push(podman, image, name, registries(), on_progress=said.append)

    assert open_registry.digest(f"test/pushed-{status}", "1") is not None
    assert any(re.search(f"{words}.*; trying again in 0.01 s", line) for line in said)


async def refusal(podman: Podman, name: str, how: Registries | None = None) -> tuple[str, str]:
    """Why an image cannot be pulled and what to do, with nothing left of the try."""
    before = {image.id for image in await podman.images.list(all=True)}
    with pytest.raises(ImageError) as caught:
        await pull(podman, name, AMD64, how or registries(), on_progress=[].append)
    assert {image.id for image in await podman.images.list(all=True)} == before
    assert caught.value.hint is not None
    return str(caught.value), caught.value.hint


@pytest.mark.parametrize(
    ("fault", "said", "step"),
    [
        (
            Fault(matching=MANIFEST, status=403),
            "does not allow this to who has not logged in (403)",
            "`podman login ",
        ),
        (
            Fault(matching=MANIFEST, status=429, headers={"Retry-After": "0"}),
            "asks for fewer requests (429)",
            "try again later",
        ),
        (Fault(matching=MANIFEST, status=500), "fails (500 or above)", "try again later"),
        (Fault(matching=MANIFEST), "the connection to ", "look at the network"),
        (Fault(matching=BLOB), "the connection to ", "look at the network"),
        (
            Fault(matching=BLOB, stalls=True),
            ", for 1 s: 1 layer begun",
            "look at the registry",
        ),
    ],
    ids=["403", "429", "500", "manifest-half-way", "blob-half-way", "blob-stalls"],
)
async def test_a_fault_of_a_registry_is_told_with_what_to_do(
    podman: Podman,
    open_registry: Registry,
    faulty: FaultyRegistry,
    *,
    fault: Fault,
    said: str,
    step: str,
) -> None:
    how = Registries(
        environ={},
        insecure=True,
        pauses=(0.01,),
        silent_before=60.0,
        silent_amid=1.0 if fault.stalls else 60.0,
    )
    async with published(podman, open_registry, "faults", "amd64") as image:
        fault = replace(fault)
        if fault.matching == BLOB:
            fault.matching = request_for("layer", image)
        faulty.faults = [fault]
        message, hint = await refusal(podman, re.sub(r"^[^/]+", faulty.host, image.reference), how)

    assert f"{faulty.host}/test/faults:1 for linux/amd64 cannot be pulled: " in message
    assert said in message
    assert faulty.host in message.partition("cannot be pulled: ")[2]
    assert step in hint


@pytest.mark.parametrize("name", ["none/x:1", "test/there:none"], ids=["repository", "tag"])
async def test_what_a_registry_does_not_have_is_told_with_what_to_do(
    podman: Podman, open_registry: Registry, name: str
) -> None:
    async with published(podman, open_registry, "there", "amd64"):
        message, hint = await refusal(podman, f"{open_registry.host}/{name}")

    assert f"{open_registry.host} has no such repository or tag (404)" in message
    assert "look at the spelling" in hint


async def test_a_registry_out_of_reach_is_told_in_words(podman: Podman) -> None:
    message, hint = await refusal(podman, "127.0.0.1:1/a/b:1")

    assert "127.0.0.1:1 cannot be reached: " in message
    assert "refused" in message
    assert "the proxy of podman's service" in hint


async def test_a_registry_that_never_answers_is_given_up(podman: Podman) -> None:
    how = Registries(environ={}, insecure=True, silent_before=1.0)
    with faulty_registry.silent() as host:
        message, hint = await refusal(podman, f"{host}/a/b:1", how)

    assert message.endswith(f"{host} answers nothing, for 1 s: asking the registry")
    assert "look at the registry" in hint


async def test_a_registry_without_tls_is_not_used_unless_asked_to(
    podman: Podman, open_registry: Registry
) -> None:
    message, hint = await refusal(podman, f"{open_registry.host}/a/b:1", Registries(environ={}))

    assert f"{open_registry.host} has no TLS: " in message
    assert "`--insecure`" in hint


async def test_a_certificate_that_nobody_vouches_for_is_taken_only_when_asked_to(
    podman: Podman,
) -> None:
    with registry.running(tls=True) as secure:
        name = f"{secure.host}/a/b:1"
        message, hint = await refusal(podman, name, Registries(environ={}))
        async with made(podman) as image:
            assert await push(podman, image, name, registries(), on_progress=[].append)

    assert f"{secure.host} has a certificate that podman does not trust: " in message
    assert f"/etc/containers/certs.d/{secure.host}/ca.crt" in hint
    assert "`--insecure`" in hint
