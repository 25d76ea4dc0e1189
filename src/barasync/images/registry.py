"""Registries: images fetched from them and sent to them, in spite of their bad days."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import anyio

from barasync.aiopodman import (
    APIError,
    Podman,
    PodmanError,
    Reference,
    RegistryLogin,
    parse_reference,
)
from barasync.errors import EngineUnavailable, ImageError
from barasync.images.auth import registry_of
from barasync.images.failures import WrongPlatform, explained
from barasync.images.freshness import Freshness
from barasync.images.login import Found, find_login
from barasync.images.trouble import Trouble, sense_of, trouble_of
from barasync.matrix.platforms import Platform

_PASSES = frozenset({Trouble.FAILING, Trouble.BROKEN})
"""After what the same may work a little later."""
# To a busy registry podman asks again what has no body, which is all of a pull.
_PUSH_PASSES = _PASSES | {Trouble.BUSY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Registries:
    """How registries are used.

    `environ` says where this user's auth files are. `insecure` accepts HTTP and any certificate.
    `pauses` are the seconds before each further try after a failure that may pass.
    """

    environ: Mapping[str, str]
    insecure: bool = False
    pull: Freshness = Freshness.MISSING
    pauses: tuple[float, ...] = (1.0, 3.0, 9.0)

    @property
    def tls_verify(self) -> bool | None:
        """Whether TLS is demanded; `None` where the service's own configuration says."""
        return False if self.insecure else None


Move = Callable[[RegistryLogin | None], Awaitable[str]]
"""Asks podman for a transfer, with a login; returns what it is called."""


async def pull(
    podman: Podman,
    reference: str,
    platform: Platform,
    registries: Registries,
    *,
    on_progress: Callable[[str], None],
) -> str:
    """Fetch the image for a platform; return its ID.

    Where the registry fails or the connection breaks it is tried again, after a pause. Podman waits
    by itself as long as a registry that answers 429 asks for.
    `on_progress` is called with lines for a person. When cancelled, podman gives up as well.

    Raises:
        WrongPlatform: The image exists, for other platforms only.
        ImageError: It cannot be fetched: why, in words, and what to do.
        EngineUnavailable: Podman does not answer.
    """

    async def move(login: RegistryLogin | None) -> str:
        return await podman.images.pull(
            reference,
            os=platform.os,
            architecture=platform.architecture,
            variant=platform.variant,
            # What is here under this name may be for another platform, and would do for `missing`.
            policy="always",
            login=login,
            tls_verify=registries.tls_verify,
            on_progress=on_progress,
        )

    action = f"image {reference} for {platform} cannot be pulled"
    return await _moved(
        action,
        parse_reference(reference),
        registries,
        move,
        passing=_PASSES,
        on_progress=on_progress,
    )


async def push(
    podman: Podman,
    source: str,
    destination: str,
    registries: Registries,
    *,
    on_progress: Callable[[str], None],
) -> str:
    """Send an image, or a manifest list with all of its images, to the registry of `destination`.

    `source` is a name or an ID. Returns the digest that it has there, empty where podman does not
    tell: of an image, before podman 5. Tried again like `pull`, and where the registry answers 429.

    Raises:
        ImageError: There is no such image, or it cannot be sent: why, in words, and what to do.
        EngineUnavailable: Podman does not answer.
    """
    action = f"{source} cannot be pushed to {destination}"
    with explained(action):
        is_list = await podman.manifests.exists(source)
    send = podman.manifests.push if is_list else podman.images.push

    async def move(login: RegistryLogin | None) -> str:
        return await send(
            source,
            destination,
            login=login,
            tls_verify=registries.tls_verify,
            on_progress=on_progress,
        )

    return await _moved(
        action,
        parse_reference(destination),
        registries,
        move,
        passing=_PUSH_PASSES,
        on_progress=on_progress,
    )


async def _moved(
    action: str,
    reference: Reference,
    registries: Registries,
    move: Move,
    *,
    passing: Collection[Trouble],
    on_progress: Callable[[str], None],
) -> str:
    """Make a transfer succeed, or say why it does not; `action` says what cannot be done."""
    found = await find_login(reference, registries.environ)
    login = None if found is None else found.login
    pauses = list(registries.pauses)
    while True:
        try:
            return await move(login)
        except APIError as error:
            words = error.cause if error.status == 200 else error.message or error.cause  # noqa: PLR2004 HTTP's number
            trouble = trouble_of(words)
            if trouble not in passing or not pauses:
                raise _explained(action, words, trouble, reference, found) from error
        except PodmanError as error:
            raise EngineUnavailable(f"{action}: {error}") from error
        pause = pauses.pop(0)
        on_progress(f"{words}; trying again in {pause:g} s")
        await anyio.sleep(pause)


def _explained(
    action: str, words: str, trouble: Trouble, reference: Reference, found: Found | None
) -> ImageError:
    user = None if found is None else f"{found.login.username or 'the token'} in {found.file}"
    registry = registry_of(reference) if reference.registry else "the registry"
    sense = sense_of(trouble, registry, user)
    if trouble is Trouble.PLATFORM:
        return WrongPlatform(
            f"{action}: the registry has it for other platforms only: {words}",
            hint="leave out that architecture, or declare the image under [images]",
        )
    if sense is None:
        return ImageError(f"{action}: {words}")
    return ImageError(f"{action}: {sense.meaning}: {words}", hint=sense.step)
