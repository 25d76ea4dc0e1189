"""Registries: images fetched from them and sent to them, in spite of their bad days."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

import anyio

from barasync.aiopodman import (
    APIError,
    Podman,
    PodmanError,
    Reference,
    RegistryLogin,
    is_image_id,
    parse_reference,
)
from barasync.errors import EngineUnavailable, ImageError
from barasync.images.auth import registry_of
from barasync.images.failures import WrongPlatform, explained
from barasync.images.first_lists import FirstLists
from barasync.images.freshness import Freshness
from barasync.images.login import Found, find_login
from barasync.images.progress import Progress
from barasync.images.standing import Standing, standing
from barasync.images.trouble import Trouble, sense_of, trouble_of
from barasync.matrix.platforms import Platform

_ID_DIGITS = 12
_PASSES = frozenset({Trouble.FAILING, Trouble.BROKEN})
"""After what the same may work a little later."""
# To a busy registry podman asks again what has no body, which is all of a pull.
_PUSH_PASSES = _PASSES | {Trouble.BUSY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Registries:
    """How registries are used.

    `environ` says where this user's auth files are. `insecure` accepts HTTP and any certificate.
    `pauses` are the seconds before each further try after a failure that may pass. Podman may say
    nothing for `silent_before` seconds until content is on its way (it waits four times up to a
    minute for a registry that answers 429), and for `silent_amid` seconds after that: it tells
    nothing of a layer but its beginning, so that is how long one may take. What a name stands
    for is asked after a transfer, for `asking` seconds with all questions of it. `first_lists` are
    those of this command.
    """

    environ: Mapping[str, str]
    insecure: bool = False
    pull: Freshness = Freshness.MISSING
    pauses: tuple[float, ...] = (1.0, 3.0, 9.0)
    silent_before: float = 300.0
    silent_amid: float = 6 * 3600.0
    asking: float = 60.0
    first_lists: FirstLists = field(default_factory=FirstLists)

    @property
    def tls_verify(self) -> bool | None:
        """Whether TLS is demanded; `None` where the service's own configuration says."""
        return False if self.insecure else None

    def silence(self, progress: Progress) -> float:
        """Return for how many seconds podman may say nothing of a transfer that is so far."""
        return self.silent_amid if progress.moves else self.silent_before


Hear = Callable[[str], None]
"""Hears lines of text."""

Move = Callable[[RegistryLogin | None, Hear], Awaitable[str]]
"""Asks podman for a transfer, with a login; returns what it is called."""


def unheard(line: str) -> None:
    """Hear a line and forget it."""


async def pull(
    podman: Podman,
    reference: str,
    platform: Platform,
    registries: Registries,
    *,
    on_progress: Hear,
    on_words: Hear = unheard,
) -> str:
    """Fetch the image for a platform; return its ID.

    Where the registry fails or the connection breaks it is tried again, after a pause. Podman waits
    by itself as long as a registry that answers 429 asks for.
    `on_progress` is called with the few lines that a person has to know, `on_words` with all that
    podman says. When cancelled, podman gives up as well.

    Raises:
        WrongPlatform: the image exists, for other platforms only.
        ImageError: it cannot be fetched: why, in words, and what to do.
        EngineUnavailable: podman does not answer.
    """

    async def move(login: RegistryLogin | None, hear: Hear) -> str:
        return await podman.images.pull(
            reference,
            os=platform.os,
            architecture=platform.architecture,
            variant=platform.variant,
            # What is here under this name may be for another platform, and would do for `missing`.
            policy="always",
            login=login,
            tls_verify=registries.tls_verify,
            on_progress=hear,
        )

    action = f"image {reference} for {platform} cannot be pulled"
    return await _moved(
        action,
        parse_reference(reference),
        registries,
        move,
        passing=_PASSES,
        on_progress=on_progress,
        on_words=on_words,
    )


async def push(
    podman: Podman,
    source: str,
    destination: str,
    registries: Registries,
    *,
    on_progress: Hear,
    on_words: Hear = unheard,
) -> str:
    """Send an image, or a manifest list with all of its images, to the registry of `destination`.

    `source` is a name or an ID. Returns the digest that it has there, empty where that is not
    known, which is said. An old podman does not tell that of an image: then it is what
    `destination` stands for after the push. Tried again like `pull`, and where the registry answers
    429.

    Raises:
        ImageError: there is no such image, or it cannot be sent: why, in words, and what to do.
        EngineUnavailable: podman does not answer.
    """
    called = source[:_ID_DIGITS] if is_image_id(source) else source
    action = f"{called} cannot be pushed to {destination}"
    with explained(action):
        is_list = await podman.manifests.exists(source)
    send = podman.manifests.push if is_list else podman.images.push

    async def move(login: RegistryLogin | None, hear: Hear) -> str:
        return await send(
            source,
            destination,
            login=login,
            tls_verify=registries.tls_verify,
            on_progress=hear,
        )

    reference = parse_reference(destination)
    digest = await _moved(
        action,
        reference,
        registries,
        move,
        passing=_PUSH_PASSES,
        on_progress=on_progress,
        on_words=on_words,
    )
    if not digest:
        digest, problem = await _digest_there(podman, source, destination, registries)
        if problem:
            on_progress(f"note: it is there, its digest is not known: {problem}")
    return digest


async def _digest_there(
    podman: Podman, source: str, destination: str, registries: Registries
) -> tuple[str, str]:
    """Return the digest of the image that a name stands for in its registry, or why it has none.

    What is there has to be one image for the platform of `source`.
    """
    found = None
    with anyio.move_on_after(registries.asking):
        found = await stands_for(podman, destination, registries)
    if found is None:
        return "", "this podman does not tell it, and could not ask the registry for it"
    with explained(f"looking at {source}"):
        image = await podman.images.inspect(source)
    its = [(entry.platform.os, entry.platform.architecture) for entry in found.entries]
    if its != [(image.os, image.architecture)]:
        return "", f"{destination} stands for something else there by now"
    return found.entries[0].digest, ""


async def stands_for(podman: Podman, reference: str, registries: Registries) -> Standing | None:
    """Return what a name stands for in its registry now; `None` where that cannot be found out.

    Whoever asks has to bound the time of it.
    """
    found = await find_login(parse_reference(reference), registries.environ)
    login = None if found is None else found.login
    return await standing(podman, reference, login=login, tls_verify=registries.tls_verify)


async def _moved(
    action: str,
    reference: Reference,
    registries: Registries,
    move: Move,
    *,
    passing: Collection[Trouble],
    on_progress: Hear,
    on_words: Hear,
) -> str:
    """Make a transfer succeed, or say why it does not; `action` says what cannot be done."""
    found = await find_login(reference, registries.environ)
    login = None if found is None else found.login
    pauses = list(registries.pauses)
    while True:
        try:
            return await _heard(action, reference, registries, partial(move, login), on_words)
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


async def _heard(
    action: str,
    reference: Reference,
    registries: Registries,
    move: Callable[[Hear], Awaitable[str]],
    on_words: Hear,
) -> str:
    """Make one try of a transfer; give it up when podman says nothing of it for too long.

    Podman itself waits for ever for a registry that takes a request and does not answer.
    """
    progress = Progress()
    with anyio.CancelScope() as scope:

        def listen() -> None:
            scope.deadline = anyio.current_time() + registries.silence(progress)

        def hear(line: str) -> None:
            progress.hear(line)
            listen()
            on_words(line)

        listen()
        return await move(hear)
    raise fell_silent(action, _registry(reference), registries, progress)


def fell_silent(
    action: str, registry: str, registries: Registries, progress: Progress
) -> ImageError:
    """Return what to raise for a transfer of which podman said nothing more for too long."""
    seconds = registries.silence(progress)
    look = "look at the registry, and at the network and the proxy of podman's service"
    if not progress.moves:
        return ImageError(
            f"{action}: {registry} answers nothing, for {seconds:g} s: {progress}",
            hint=f"{look}; then try again",
        )
    return ImageError(
        f"{action}: nothing new of the transfer with {registry}, for {seconds:g} s: {progress}",
        hint=f"a layer that takes longer needs a faster connection; otherwise {look}",
    )


def _registry(reference: Reference) -> str:
    return registry_of(reference) if reference.registry else "the registry"


def _explained(
    action: str, words: str, trouble: Trouble, reference: Reference, found: Found | None
) -> ImageError:
    user = None if found is None else f"{found.login.username or 'the token'} in {found.file}"
    sense = sense_of(trouble, _registry(reference), user)
    if trouble is Trouble.PLATFORM:
        return WrongPlatform(
            f"{action}: the registry has it for other platforms only: {words}",
            hint="leave out that architecture, or declare the image under [images]",
        )
    if sense is None:
        return ImageError(f"{action}: {words}")
    return ImageError(f"{action}: {sense.meaning}: {words}", hint=sense.step)
