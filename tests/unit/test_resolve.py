from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import pytest

from barasync.errors import EngineUnavailable, ImageError
from barasync.images.failures import WrongPlatform
from barasync.images.fit import fits
from barasync.images.freshness import Freshness
from barasync.images.listing import Listing
from barasync.images.registry import Registries
from barasync.images.resolve import ResolvedImage, resolve
from barasync.matrix.platforms import Platform, parse
from tests.unit.image_store import ImageStore, StoredImage

pytestmark = pytest.mark.anyio

AMD64 = parse("amd64")
ARM64 = parse("arm64")
HUB = "registry.example/team/tool:1"


async def resolved(
    store: ImageStore,
    reference: str,
    platform: Platform = AMD64,
    *,
    declared: Sequence[str] = (),
    progress: list[str] | None = None,
    pull: Freshness = Freshness.MISSING,
) -> ResolvedImage:
    async with store.client() as podman:
        return await resolve(
            podman,
            reference,
            platform,
            declared,
            Registries(environ={}, pull=pull),
            listing=Listing(podman),
            on_progress=[].append if progress is None else progress.append,
        )


def remote(text: str, architecture: str) -> StoredImage:
    return StoredImage(hashlib.sha256(text.encode()).hexdigest(), [], architecture)


# Local images


async def test_a_local_image_of_the_platform_is_taken_by_its_id() -> None:
    store = ImageStore()
    image = store.add("localhost/x:latest", "amd64")

    assert await resolved(store, "localhost/x:latest") == ResolvedImage(
        image.id, "localhost/x:latest", AMD64
    )
    assert store.requests == ["GET images/localhost/x:latest/json"]


async def test_an_image_can_be_named_by_its_id() -> None:
    store = ImageStore()
    image = store.add("localhost/x:latest", "amd64")

    assert (await resolved(store, image.id)).id == image.id


async def test_a_local_image_of_another_platform_is_refused_with_both_named() -> None:
    store = ImageStore()
    store.add("localhost/x:latest", "arm64")

    with pytest.raises(WrongPlatform) as caught:
        await resolved(store, "localhost/x:latest")

    assert str(caught.value) == (
        "localhost/x:latest is an image for linux/arm64, not for linux/amd64"
    )
    assert caught.value.hint is not None
    assert "[images]" in caught.value.hint


async def test_an_id_of_another_platform_is_refused_and_never_pulled() -> None:
    store = ImageStore()
    image = store.add("localhost/x:latest", "arm64")

    with pytest.raises(WrongPlatform, match=r"for linux/arm64"):
        await resolved(store, image.id)


async def test_a_local_image_that_is_missing_is_not_looked_for_in_a_registry() -> None:
    store = ImageStore()

    with pytest.raises(ImageError, match=r"there is no image localhost/x:latest") as caught:
        await resolved(store, "localhost/x:latest")

    assert not isinstance(caught.value, WrongPlatform)
    assert "POST images/pull" not in store.requests


@pytest.mark.parametrize("native", ["amd64", "s390x"])
async def test_a_manifest_list_gives_the_image_of_the_platform(native: str) -> None:
    store = ImageStore(native=native)
    one, two = store.add("localhost/x:amd64", "amd64"), store.add("localhost/x:arm64", "arm64")
    store.add("localhost/list:1", "", members={"amd64": one.id, "arm64": two.id})

    assert (await resolved(store, "localhost/list:1", AMD64)).id == one.id
    assert (await resolved(store, "localhost/list:1", ARM64)).id == two.id


async def test_a_manifest_list_is_found_by_its_short_name() -> None:
    store = ImageStore()
    image = store.add("localhost/x:arm64", "arm64")
    store.add("localhost/list:latest", "", members={"arm64": image.id})

    assert (await resolved(store, "list", ARM64)).id == image.id


async def test_a_manifest_list_without_the_platform_names_what_it_has() -> None:
    store = ImageStore()
    one, two = store.add("localhost/x:arm64", "arm64"), store.add("localhost/x:s390x", "s390x")
    store.add("localhost/list:1", "", members={"arm64": one.id, "s390x": two.id})

    with pytest.raises(WrongPlatform, match=r"for linux/arm64, linux/s390x, not for linux/"):
        await resolved(store, "localhost/list:1", AMD64)


async def test_a_member_of_a_manifest_list_that_is_not_here_is_not_taken() -> None:
    store = ImageStore()
    store.add("localhost/list:1", "", members={"amd64": "0" * 64})

    with pytest.raises(WrongPlatform):
        await resolved(store, "localhost/list:1", AMD64)


# Registries


async def test_what_is_not_here_is_pulled_for_the_platform() -> None:
    store = ImageStore(registry={(HUB, "arm64"): remote("a", "arm64")})
    progress: list[str] = []

    image = await resolved(store, HUB, ARM64, progress=progress)

    assert image.id == remote("a", "arm64").id
    assert progress[0] == "pulling"
    assert re.fullmatch(r"pulled in [\d.]+ s: sha256:[0-9a-f]{64}", progress[1])
    assert len(progress) == 2


async def test_a_local_image_of_another_platform_does_not_keep_a_registry_from_being_asked() -> (
    None
):
    store = ImageStore(registry={(HUB, "arm64"): remote("a", "arm64")})
    store.add(HUB, "amd64")

    assert (await resolved(store, HUB, ARM64)).id == remote("a", "arm64").id


async def test_a_pull_for_another_platform_leaves_the_users_image_its_name() -> None:
    store = ImageStore(registry={(HUB, "arm64"): remote("a", "arm64")})
    users = store.add(HUB, "amd64")

    await resolved(store, HUB, ARM64)

    assert store.find(HUB) is users


async def test_an_image_pulled_for_one_platform_is_found_again_after_a_pull_for_another() -> None:
    store = ImageStore(
        registry={(HUB, "amd64"): remote("a", "amd64"), (HUB, "arm64"): remote("b", "arm64")}
    )
    first = await resolved(store, HUB, AMD64)
    await resolved(store, HUB, ARM64)
    store.registry.clear()

    assert (await resolved(store, HUB, AMD64)).id == first.id


async def test_a_pull_each_time_takes_what_the_registry_has_now() -> None:
    store = ImageStore(registry={(HUB, "amd64"): remote("new", "amd64")})
    old = store.add(HUB, "amd64")

    found = await resolved(store, HUB, pull=Freshness.ALWAYS)

    assert found.id == remote("new", "amd64").id != old.id
    now = store.find(HUB)
    assert now is not None
    assert now.id == found.id


async def test_a_local_name_is_not_pulled_even_each_time() -> None:
    store = ImageStore()
    image = store.add("localhost/x:1", "amd64")

    assert (await resolved(store, "localhost/x:1", pull=Freshness.ALWAYS)).id == image.id


async def test_without_a_pull_an_image_has_to_be_here() -> None:
    store = ImageStore(registry={(HUB, "amd64"): remote("a", "amd64")})

    with pytest.raises(ImageError, match=r"there is no image .* for linux/amd64, and it is not to"):
        await resolved(store, HUB, pull=Freshness.NEVER)
    store.add(HUB, "arm64")
    with pytest.raises(WrongPlatform, match=r"for linux/arm64, not for linux/amd64"):
        await resolved(store, HUB, pull=Freshness.NEVER)

    assert "POST images/pull" not in store.requests


async def test_a_digest_that_stands_for_several_platforms_is_not_made_a_tag() -> None:
    pinned = f"registry.example/team/tool@sha256:{'1' * 64}"
    store = ImageStore(
        registry={(pinned, "amd64"): remote("a", "amd64"), (pinned, "arm64"): remote("b", "arm64")}
    )

    found = [(await resolved(store, pinned, platform)).id for platform in (AMD64, ARM64, AMD64)]

    assert found == [remote("a", "amd64").id, remote("b", "arm64").id, remote("a", "amd64").id]
    assert {name for image in store.images for name in image.names if "tool:" in name} == set()


# What a registry calls an image


@pytest.mark.parametrize(
    ("reference", "digests", "known"),
    [
        (HUB, ("registry.example/team/tool@sha256:2", "localhost/b@sha256:1"), ["1", "2"]),
        # The image was pulled by that name, which another platform's has now.
        (HUB, ("localhost/barasync/pulled@sha256:1",), ["1"]),
        ("localhost/x:1", ("localhost/x@sha256:1",), []),
    ],
)
async def test_an_image_is_known_by_the_digests_of_its_registry(
    reference: str, digests: tuple[str, ...], known: list[str]
) -> None:
    store = ImageStore()
    store.add(reference, "amd64", digests=digests)

    found = await resolved(store, reference)

    assert found.digests == tuple(f"registry.example/team/tool@sha256:{each}" for each in known)


async def test_an_image_of_a_short_name_is_known_by_where_podman_had_it_from() -> None:
    store = ImageStore()
    store.add("localhost/tool", "amd64", digests=("docker.io/library/tool@sha256:1",))
    store.add("localhost/other", "amd64", digests=("localhost/other@sha256:1",))

    assert (await resolved(store, "tool")).digests == ("docker.io/library/tool@sha256:1",)
    assert (await resolved(store, "other")).digests == ()


# Platforms of registries


async def test_a_registry_that_gives_another_platform_is_not_believed() -> None:
    store = ImageStore(registry={(HUB, "arm64"): remote("a", "amd64")})

    with pytest.raises(WrongPlatform, match=r"for linux/amd64, not for linux/arm64"):
        await resolved(store, HUB, ARM64)


async def test_a_pull_that_fails_gives_podmans_reason() -> None:
    store = ImageStore(registry={(HUB, "amd64"): "manifest unknown"})

    with pytest.raises(ImageError, match=r"\(404\): manifest unknown$") as caught:
        await resolved(store, HUB)

    assert HUB in str(caught.value)
    assert "linux/amd64" in str(caught.value)


async def test_a_pull_that_fails_beside_a_local_image_of_another_platform_says_both() -> None:
    store = ImageStore(registry={(HUB, "arm64"): "no such host"})
    store.add(HUB, "amd64")

    with pytest.raises(WrongPlatform, match=r"for linux/amd64, not for") as caught:
        await resolved(store, HUB, ARM64)

    assert caught.value.hint is not None
    assert "no such host" in caught.value.hint


# Declared images


async def test_a_misspelt_declared_name_is_suggested() -> None:
    with pytest.raises(ImageError) as caught:
        await resolved(ImageStore(), "tolchain", declared=["toolchain"])

    assert caught.value.hint == ("declared under [images]: toolchain; did you mean 'toolchain'?")


async def test_what_is_neither_declared_nor_a_reference_is_an_error() -> None:
    with pytest.raises(ImageError, match=r"no image is declared under that name.*Tool Chain"):
        await resolved(ImageStore(), "Tool Chain", declared=["toolchain"])


async def test_a_podman_that_is_gone_is_not_a_missing_image() -> None:
    with pytest.raises(EngineUnavailable, match=r"looking for image localhost/x:1"):
        await resolved(ImageStore(broken=True), "localhost/x:1")


# What fits


@pytest.mark.parametrize(
    ("image", "cell", "fitting"),
    [
        (Platform("arm64"), "arm64", True),
        (Platform("arm64", "v8"), "arm64", True),
        (Platform("arm"), "arm/v7", True),
        (Platform("arm", "v7"), "arm", True),
        (Platform("arm", "v6"), "arm/v7", False),
        (Platform("arm", "v7"), "arm/v6", False),
        (Platform("amd64", "v1"), "amd64", True),
        (Platform("amd64", "v3"), "amd64", False),
        (Platform("amd64"), "arm64", False),
        (Platform("amd64", os="windows"), "amd64", False),
    ],
    ids=str,
)
def test_variants_fit_where_they_mean_the_same(image: Platform, cell: str, fitting: bool) -> None:
    assert fits(image, parse(cell)) is fitting
