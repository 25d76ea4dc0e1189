"""The removal of images that barasync made and that nobody used for long, or that are too many.

Workspace layers, steps, finished images and what was pulled for one platform: all go by one way.
They belong to the service, whatever project they are of: what is kept of one takes the room of the
others. Removing one costs its project the making of a new one, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import anyio
from anyio import to_thread

from barasync.aiopodman import (
    Conflict,
    ContainerSummary,
    ImageSummary,
    NotFound,
    Podman,
    ServerError,
    parse_reference,
)
from barasync.engine.identity import RUN, Identity, Liveness, StartOf, of_maker, start_time
from barasync.engine.image_uses import UseFiles, is_held_by, last_uses, note_uses, unused
from barasync.images.ours import (
    BASE_LABEL,
    KEPT,
    PULLED,
    WORKSPACE,
    content_of,
    declared_names,
    foreign_names,
    kind_of,
)
from barasync.images.pruning import DAY, Bounds, Candidate, ancestors, outdated

KEPT_LAYERS = 20
KEPT_IMAGES = 200
KEPT_SECONDS = 14 * DAY
FAILED_SECONDS = 7 * DAY
"""What is kept of failed cells is looked into soon, or never."""
AUTOMATIC = (
    Bounds(kinds=frozenset({KEPT}), seconds=FAILED_SECONDS),
    Bounds(kinds=frozenset({WORKSPACE}), seconds=KEPT_SECONDS, count=KEPT_LAYERS),
    # So many cells may fail at once that the images of all others would have to go for them.
    Bounds(others=frozenset({KEPT}), seconds=KEPT_SECONDS, count=KEPT_IMAGES),
)
"""What is kept without being told."""

# A run that cannot be judged from here may be about to use what it made.
_LONGEST_RUN_SECONDS = DAY
# Podman's list has a manifest list as an image of the size of its own text.
_LARGEST_LIST_BYTES = 256 * 1024
_OTHER_NAMES = ("by ID with more than one tag", "tag not known")
_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """An image that was removed, or would be; `bytes` is what that freed beyond its parents."""

    id: str
    kind: str
    names: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What became of outdated images.

    `lists` are the names of manifest lists that went with their images. `busy` names a run on whose
    account nothing could be removed: one that works there, and does not tell us what it uses.
    """

    images: tuple[Gone, ...] = ()
    lists: tuple[str, ...] = ()
    busy: str = ""

    @property
    def bytes(self) -> int:
        """What all of them took."""
        return sum(image.bytes for image in self.images)


async def prune(
    podman: Podman,
    identity: Identity,
    *,
    run: str,
    bounds: Sequence[Bounds],
    files: UseFiles,
    now: float,
    dry_run: bool = False,
    start_of: StartOf = start_time,
) -> Pruned:
    """Remove images that exceed `bounds`; say which, or, in a `dry_run`, which it would be.

    What stays, with all that it is made from: what a container, a living run or a build uses or
    has made; what has a name that barasync did not give it, also one given by `--tag`; what a
    manifest list of such a name holds; what was made within a day by a process that cannot be
    judged from here. Nothing goes while another user's run is at work on the service.

    `run` is whose end this is, if any. One request where nothing is outdated. When cancelled, what
    is not yet removed stays.

    Raises:
        PodmanError: the service does not answer, or refuses.
    """
    found = await podman.images.list(all=True)
    look = partial(_candidates, found, identity, files=files, now=now, start_of=start_of)
    candidates = await to_thread.run_sync(partial(look, used=frozenset()))
    if not outdated(candidates, bounds, now=now):
        return Pruned()
    containers = await podman.containers.list(all=True)
    busy = await _at_work(containers, identity, run, files, start_of)
    if busy:
        return Pruned(busy=busy)
    lists = await _lists(podman, found)
    used = {container.image_id.removeprefix("sha256:") for container in containers}
    used |= {image for each in lists if not each.is_ours for image in each.images}
    candidates = await to_thread.run_sync(partial(look, used=used))
    removal = _Removal(podman, found, candidates, lists, files, dry_run=dry_run)
    await removal.carry_out(outdated(candidates, bounds, now=now))
    return Pruned(images=tuple(removal.gone), lists=tuple(removal.gone_lists))


def _candidates(
    found: Iterable[ImageSummary],
    identity: Identity,
    *,
    files: UseFiles,
    now: float,
    start_of: StartOf,
    used: Iterable[str],
) -> list[Candidate]:
    """Judge all images of a service. Blocking.

    Images without a name that are not ours, and of which there are others, are seen through: podman
    removes them with the last of those.
    """
    images = {image.id: image for image in found}
    kinds = {image.id: kind_of(image) for image in images.values()}
    parents = {image.parent_id for image in images.values()}
    hidden = {
        image.id
        for image in images.values()
        if not image.repo_tags and not kinds[image.id] and image.id in parents
    }
    last = last_uses(files.uses, images)
    # A registry says when an image was built, which may be long before it came here.
    unseen = {each for each, kind in kinds.items() if kind == PULLED and each not in last}
    note_uses(files.uses, unseen, now)
    in_use = frozenset(used)

    def judged(image: ImageSummary) -> Candidate:
        below = image.parent_id
        while below in hidden:
            below = images[below].parent_id
        kind = kinds[image.id]
        made = now if image.id in unseen else image.created
        base = image.labels.get(BASE_LABEL, "")
        maker = identity.judge(of_maker(image.labels), start_of)
        return Candidate(
            id=image.id,
            kind=kind,
            below=below if below in images else "",
            bytes=max(0, image.size - (images[below].size if below in images else 0)),
            used=last.get(image.id, made),
            stays=kind == ""
            or image.id in in_use
            or bool(foreign_names(image))
            or base in hidden  # somebody knows that image by its ID
            or _may_live(maker, now - image.created, image),
            tied=below in images and not images[below].repo_tags,
        )

    return [judged(image) for image in images.values() if image.id not in hidden]


def _may_live(maker: Liveness, age: float, image: ImageSummary) -> bool:
    """Tell whether the process that made an image may be about to use it."""
    if not of_maker(image.labels):
        return False
    return maker is Liveness.ALIVE or (maker is Liveness.UNKNOWN and age < _LONGEST_RUN_SECONDS)


async def _at_work(
    containers: Iterable[ContainerSummary],
    identity: Identity,
    run: str,
    files: UseFiles,
    start_of: StartOf,
) -> str:
    """Return a run that is at work on the service and holds nothing here, empty if there is none.

    Podman ends the containers that a dead run left behind.
    """

    def living() -> list[str]:
        others = [each for each in containers if each.labels.get(RUN, "") not in {"", run}]
        return [
            each.labels[RUN]
            for each in others
            if _lives(each, identity.judge(each.labels, start_of))
        ]

    for other in sorted(set(await to_thread.run_sync(living))):
        if not await is_held_by(files, other):
            return other
    return ""


def _lives(container: ContainerSummary, liveness: Liveness) -> bool:
    if liveness is Liveness.UNKNOWN:
        return container.state == "running"
    return liveness is Liveness.ALIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    """A manifest list, and the IDs of those of its images that are here."""

    names: tuple[str, ...]
    images: frozenset[str]
    is_ours: bool


async def _lists(podman: Podman, found: Sequence[ImageSummary]) -> list[_List]:
    """Return the manifest lists of a service."""
    by_digest = {digest: image for image in found for digest in image.digests}
    lists = []
    for each in found:
        is_small = each.size < _LARGEST_LIST_BYTES and not each.labels and not each.parent_id
        if not each.repo_tags or not is_small or not await podman.manifests.exists(each.id):
            continue
        entries = await podman.manifests.entries(each.id)
        members = [by_digest[entry.digest] for entry in entries if entry.digest in by_digest]
        declared = frozenset().union(*map(declared_names, members))
        lists.append(
            _List(
                names=tuple(each.repo_tags),
                images=frozenset(member.id for member in members),
                is_ours=all(content_of(name) in declared for name in each.repo_tags),
            )
        )
    return lists


class _Removal:
    """Removes images, one after the other; `gone` are those that are removed, or would be."""

    def __init__(
        self,
        podman: Podman,
        found: Iterable[ImageSummary],
        candidates: Iterable[Candidate],
        lists: Iterable[_List],
        files: UseFiles,
        *,
        dry_run: bool,
    ) -> None:
        self._podman = podman
        self._images = {image.id: image for image in found}
        self._family = {each.id: each for each in candidates}
        self._lists = list(lists)
        self._files = files
        self._dry_run = dry_run
        self._kept: set[str] = set()
        self.gone: list[Gone] = []
        self.gone_lists: list[str] = []

    async def carry_out(self, doomed: Iterable[Candidate]) -> None:
        """Remove images, children first; what one is made from stays where that one does."""
        for each in doomed:
            if each.id in self._kept:
                continue
            async with unused(self._files, self._going_with(each)) as are_unused:
                if are_unused and (self._dry_run or await self._removed(self._images[each.id])):
                    self._note(each)
                else:
                    self._kept.update(ancestors(self._family, each.id))

    def _going_with(self, each: Candidate) -> list[str]:
        """Return an image and what podman removes with it."""
        going = [each.id]
        while each.tied:
            each = self._family[each.below]
            going.append(each.id)
        return going

    def _note(self, each: Candidate) -> None:
        names = tuple(self._images[each.id].repo_tags)
        self.gone.append(Gone(id=each.id, kind=each.kind, names=names, bytes=each.bytes))
        with_it = [listed for listed in self._lists if each.id in listed.images]
        self._lists = [listed for listed in self._lists if each.id not in listed.images]
        self.gone_lists += [name for listed in with_it for name in listed.names]

    async def _removed(self, image: ImageSummary) -> bool:
        """Remove an image and the lists that hold it, unless somebody has just begun to use it."""
        is_gone = False
        with anyio.move_on_after(_SECONDS, shield=True):
            is_gone = await self._remove(image)
            lists = [listed for listed in self._lists if is_gone and image.id in listed.images]
            for name in (name for listed in lists for name in listed.names):
                await self._podman.manifests.remove(name, missing_ok=True)
        return is_gone

    async def _remove(self, image: ImageSummary) -> bool:
        """Take all names but one from an image, then remove it by its ID, which leaves no race.

        What has another name by now podman refuses to remove by ID.
        """
        taken = []
        try:
            for name in image.repo_tags[1:]:
                parsed = parse_reference(name)
                await self._podman.images.untag(image.id, parsed.name, parsed.tag)
                taken.append(parsed)
            await self._podman.images.remove(image.id, missing_ok=True)
        except NotFound:
            return True
        except (Conflict, ServerError) as error:
            if not isinstance(error, Conflict) and not _is_of_names(error):
                raise
            for parsed in taken:
                await self._podman.images.tag(image.id, parsed.name, parsed.tag)
            return False
        return True


def _is_of_names(error: ServerError) -> bool:
    """Tell whether podman refused because the names are others by now."""
    return any(words in error.cause for words in _OTHER_NAMES)
