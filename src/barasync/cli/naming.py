"""The names that `barasync image build` gives: of an image, or of those of several platforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from barasync.aiopodman import Podman, Reference
from barasync.engine.images import Images
from barasync.images.failures import explained
from barasync.images.manifest import entries_of, hold, platforms_in, publish
from barasync.images.tags import give
from barasync.matrix.platforms import Platform, is_known


@dataclass(frozen=True, slots=True)
class Names:
    """Gives names to what was built of `images`; `notify` hears lines for a person."""

    podman: Podman
    images: Images
    notify: Callable[[str], None]

    async def give(self, name: str, tag: Reference, ids: Mapping[Platform, str]) -> None:
        """Give a name to the declared image `name`, whose IDs by platform are `ids`.

        A name stands for what is declared now, for every platform that it had: what was not built
        this time, but is here as it is declared, stays in the list or comes into it. What is not
        leaves the name, and is told.

        Raises:
            ImageGone: one of the images is not there any more.
            ImageError: podman refuses.
            EngineUnavailable: podman does not answer.
        """
        with explained(f"looking at {tag}"):
            entries = await entries_of(self.podman, str(tag))
            if entries and hold(entries, ids, await self.images.listed()):
                return
        members, lost = dict(ids), []
        for platform in sorted(platforms_in(entries) - ids.keys()):
            found = await self.images.find((name, platform)) if is_known(platform) else None
            if found is None:
                lost.append(str(platform))
            else:
                members[platform] = found
        if len(members) > 1:
            await publish(self.podman, str(tag), members)
        else:
            await give(self.podman, tag, *members.values())
        if lost:
            self.notify(
                f"note: {tag} has no image for {', '.join(lost)} any more: what is declared now is "
                "not built for it"
            )
