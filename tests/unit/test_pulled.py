"""Which digests a pull has come to: that of the image, and that of its manifest list."""

from __future__ import annotations

import hashlib

import anyio
import httpx2
import pytest

from barasync.images.freshness import Freshness
from barasync.images.listing import Listing
from barasync.images.registry import Registries
from barasync.images.resolve import ResolvedImage, resolve
from barasync.matrix.platforms import Platform, parse
from tests.unit.image_store import ImageStore, StoredImage

pytestmark = pytest.mark.anyio

AMD64, ARM64 = map(parse, ("amd64", "arm64"))
NAME = "r.example/team/tool"
TAG = f"{NAME}:1"
LIST, OTHER_LIST = (f"sha256:{digit * 64}" for digit in "ab")


def remote(text: str, architecture: str) -> StoredImage:
    digest = hashlib.sha256(f"{text} {architecture}".encode()).hexdigest()
    return StoredImage(digest, [], architecture)


def full(image: StoredImage) -> str:
    return f"{NAME}@sha256:{image.id}"


def store_of(*tags: tuple[str, str, str]) -> ImageStore:
    """A registry with manifest lists for two platforms: tag, content, and digest of each."""
    store = ImageStore()
    for tag, text, digest in tags:
        store.lists |= {f"{NAME}:{tag}": digest, f"{NAME}@{digest}": digest}
        for architecture in ("amd64", "arm64"):
            image = remote(text, architecture)
            store.registry[f"{NAME}:{tag}", architecture] = image
            store.registry[f"{NAME}@{digest}", architecture] = image
    return store


async def found(
    store: ImageStore,
    reference: str,
    *platforms: Platform,
    pull: Freshness = Freshness.MISSING,
    said: list[str] | None = None,
    asking: float = 60.0,
) -> list[ResolvedImage]:
    """What one command finds, for one platform after the other."""
    registries = Registries(environ={}, pull=pull, asking=asking)
    tell = [].append if said is None else said.append
    async with store.client() as podman:
        return [
            await resolve(
                podman, reference, each, (), registries, listing=Listing(podman), on_progress=tell
            )
            for each in platforms
        ]


async def test_the_digest_of_an_image_and_that_of_its_list_are_told_apart() -> None:
    store = store_of(("1", "one", LIST))

    amd64, arm64 = await found(store, TAG, AMD64, ARM64)

    assert (amd64.digest, arm64.digest) == (
        full(remote("one", "amd64")),
        full(remote("one", "arm64")),
    )
    assert amd64.list_digest == arm64.list_digest == f"{NAME}@{LIST}"


async def test_an_image_of_no_list_has_its_digest_alone() -> None:
    store = ImageStore(registry={(TAG, "amd64"): remote("one", "amd64")})

    (image,) = await found(store, TAG, AMD64)

    assert (image.digest, image.list_digest) == (full(remote("one", "amd64")), "")


async def test_what_was_pulled_before_has_its_digests_without_a_registry() -> None:
    store = store_of(("1", "one", LIST))
    pulled = await found(store, TAG, AMD64, ARM64)
    store.registry.clear()

    assert await found(store, TAG, AMD64, ARM64) == pulled


async def test_an_image_that_two_lists_hold_has_the_list_of_the_name_that_was_asked_for() -> None:
    store = store_of(("1", "one", LIST), ("2", "two", OTHER_LIST))
    for other in (f"{NAME}:2", f"{NAME}@{OTHER_LIST}"):
        store.registry[other, "amd64"] = store.registry[TAG, "amd64"]

    first = await found(store, TAG, AMD64)
    second = await found(store, f"{NAME}:2", AMD64)
    again = await found(store, TAG, AMD64)

    assert first[0].id == second[0].id
    assert first[0].list_digest == again[0].list_digest == f"{NAME}@{LIST}"
    assert second[0].list_digest == f"{NAME}@{OTHER_LIST}"
    assert first[0].digest == second[0].digest


async def test_two_names_of_one_list_are_pinned_by_the_same_digests() -> None:
    store = store_of(("1", "one", LIST), ("latest", "one", LIST))

    (first,), (second,) = [await found(store, f"{NAME}:{tag}", AMD64) for tag in ("1", "latest")]

    assert (first.digest, first.list_digest) == (second.digest, second.list_digest)


async def test_a_reference_by_the_digest_of_a_list_is_of_that_list() -> None:
    store = store_of(("1", "one", LIST))
    pinned = f"{NAME}@{LIST}"

    (image,) = await found(store, pinned, AMD64)

    assert (image.digest, image.list_digest) == (full(remote("one", "amd64")), pinned)


async def test_a_list_that_changes_between_two_platforms_is_taken_as_it_was() -> None:
    store = store_of(("1", "one", LIST))
    registries = Registries(environ={})
    said: list[str] = []
    async with store.client() as podman:
        old = await resolve(
            podman, TAG, AMD64, (), registries, listing=Listing(podman), on_progress=said.append
        )
        store.registry[TAG, "arm64"] = remote("two", "arm64")
        store.lists[TAG] = OTHER_LIST
        other = await resolve(
            podman, TAG, ARM64, (), registries, listing=Listing(podman), on_progress=said.append
        )

    assert old.digest == full(remote("one", "amd64"))
    assert other.digest == full(remote("one", "arm64"))
    assert other.id == remote("one", "arm64").id
    assert any("has changed in its registry since linux/amd64 was taken" in line for line in said)


async def test_images_of_different_lists_are_not_mixed_without_a_word() -> None:
    store = store_of(("1", "one", LIST))
    await found(store, TAG, AMD64)
    # The old list is not there any more.
    changed = store_of(("1", "two", OTHER_LIST))
    changed.images = store.images
    said: list[str] = []

    amd64, arm64 = await found(changed, TAG, AMD64, ARM64, said=said)
    mixed = [line for line in said if "another manifest list" in line]
    said.clear()
    fresh = await found(changed, TAG, AMD64, ARM64, pull=Freshness.ALWAYS, said=said)

    assert (amd64.list_digest, arm64.list_digest) == (f"{NAME}@{LIST}", f"{NAME}@{OTHER_LIST}")
    assert len(mixed) == 1
    assert LIST in mixed[0]
    assert OTHER_LIST in mixed[0]
    assert {image.list_digest for image in fresh} == {f"{NAME}@{OTHER_LIST}"}
    assert not any("another manifest list" in line for line in said)


async def test_what_is_missing_comes_from_the_list_of_what_is_here() -> None:
    store = store_of(("1", "one", LIST))
    await found(store, TAG, AMD64)
    changed = store_of(("1", "two", OTHER_LIST), ("old", "one", LIST))
    changed.images = store.images
    said: list[str] = []

    amd64, arm64 = await found(changed, TAG, AMD64, ARM64, said=said)

    assert amd64.list_digest == arm64.list_digest == f"{NAME}@{LIST}"
    assert arm64.id == remote("one", "arm64").id
    assert not any("another manifest list" in line for line in said)


async def test_the_digests_of_an_earlier_pull_do_not_stay_with_the_name() -> None:
    store = store_of(("1", "one", LIST))
    await found(store, TAG, AMD64)
    store.lists |= {TAG: OTHER_LIST, f"{NAME}@{OTHER_LIST}": OTHER_LIST}
    for reference in (TAG, f"{NAME}@{OTHER_LIST}"):
        store.registry[reference, "amd64"] = store.registry[TAG, "amd64"]
        store.registry[reference, "arm64"] = remote("two", "arm64")

    (image,) = await found(store, TAG, AMD64, pull=Freshness.ALWAYS)
    (again,) = await found(store, TAG, AMD64, pull=Freshness.NEVER)

    assert image.list_digest == again.list_digest == f"{NAME}@{OTHER_LIST}"


@pytest.mark.parametrize("has_children", [False, True])
async def test_an_image_for_another_platform_keeps_its_tag_also_where_others_are_made_of_it(
    *, has_children: bool
) -> None:
    store = store_of(("1", "one", LIST))
    users = store.add(TAG, "amd64", has_children=has_children)

    await found(store, TAG, ARM64)

    assert TAG in users.names


async def test_an_image_that_goes_before_it_gets_its_tag_back_does_not_fail_the_pull() -> None:
    class Going(ImageStore):
        """A store from which an image goes when somebody looks at it."""

        def find(self, name: str) -> StoredImage | None:
            self.images = [image for image in self.images if image.id != name or image != users]
            return super().find(name)

    store = Going(registry=store_of(("1", "one", LIST)).registry)
    users = store.add(TAG, "amd64", has_children=True)

    (image,) = await found(store, TAG, ARM64)

    assert image.id == remote("one", "arm64").id
    assert users not in store.images


async def test_a_registry_that_does_not_say_what_a_name_stands_for_does_not_fail_the_pull() -> None:
    store = store_of(("1", "one", LIST), ("2", "one", LIST))
    await found(store, f"{NAME}:2", AMD64)
    store.changed[TAG] = "r.example/nothing:1"
    said: list[str] = []

    (image,) = await found(store, TAG, AMD64, said=said)

    assert (image.digest, image.list_digest) == ("", "")
    assert said[-1].endswith("its digest is not known")
    assert store.drafts == {}


@pytest.mark.parametrize(
    ("answers", "manifest", "lacking"),
    [(0, "", "its digest"), (1, full(remote("one", "amd64")), "its manifest list")],
    ids=["nothing", "the-first-question"],
)
async def test_a_registry_that_does_not_answer_what_it_is_asked_is_waited_for_once_in_all(
    answers: int, manifest: str, lacking: str
) -> None:
    class Silent(ImageStore):
        """A store whose registry answers so many questions and no more."""

        answers = 99

        def _entries(self, reference: str) -> list[dict[str, object]]:
            self.answers -= 1
            return super()._entries(reference)

        async def _draft(self, request: httpx2.Request, rest: str) -> httpx2.Response:
            if request.content and self.answers == 0:
                await anyio.sleep_forever()
            return await super()._draft(request, rest)

    lists = store_of(("1", "one", LIST), ("2", "one", OTHER_LIST))
    store = Silent(registry=lists.registry, lists=lists.lists)
    await found(store, f"{NAME}:2", AMD64)
    store.answers = answers
    said: list[str] = []

    with anyio.fail_after(5):
        (image,) = await found(store, TAG, AMD64, said=said, asking=1.0)

    notes = [line for line in said if line.startswith("note: ")]
    assert (image.digest, image.list_digest) == (manifest, "")
    assert notes == [f"note: {lacking} could not be found out: the registry has not said it in 1 s"]
    assert store.drafts == {}
