"""The secrets of a run on its podman service: made once for all cells, removed after them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

import anyio

from barasync.aiopodman import Podman, PodmanError, SecretFile, answered
from barasync.config.schema import CellSettings
from barasync.config.secrets import parse_secret
from barasync.errors import EngineUnavailable
from barasync.masking.value import SecretValue

_CREATE_SECONDS = 120.0
_CREATE_SECONDS_WHEN_CANCELLED = 5.0
_REMOVE_SECONDS = 30.0


@asynccontextmanager
async def made_secrets(
    podman: Podman,
    run: str,
    *,
    labels: Mapping[str, str],
    values: Mapping[str, SecretValue],
    complain: Callable[[str], None],
) -> AsyncIterator[Mapping[str, str]]:
    """Keep the values, by their sources, on the service for the block; yield podman's names.

    However the block ends, they are removed, for 30 s at most when podman does not answer.
    `complain` hears of each one that is left; `barasync clean` finds it by `labels`.

    Raises:
        PodmanError, EngineUnavailable: one could not be made; none is left.
    """
    # Neither a path nor a variable's name would always do (`quirks.SECRET_NAMES_ARE_SHORT`).
    names = {source: f"barasync-{run}-{number}" for number, source in enumerate(values, start=1)}
    try:
        for source, value in values.items():
            await _create(podman, names[source], value, labels)
        yield names
    finally:
        for problem in await _remove(podman, names.values()):
            complain(problem)


def secret_files(settings: CellSettings, names: Mapping[str, str]) -> tuple[SecretFile, ...]:
    """Return the files that a cell gets, of the secrets that `made_secrets` named."""
    secrets = map(parse_secret, settings.secrets)
    return tuple(
        SecretFile(names[secret.source], secret.name)
        for secret in secrets
        if not secret.in_environment
    )


def secret_env(settings: CellSettings, names: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a cell gets, each with podman's name of the secret it holds."""
    secrets = map(parse_secret, settings.secrets)
    return {secret.name: names[secret.source] for secret in secrets if secret.in_environment}


async def _create(podman: Podman, name: str, value: SecretValue, labels: Mapping[str, str]) -> None:
    """Make a secret; once the request is made, cancellation waits for the answer, for a while."""
    try:
        await answered(
            lambda: podman.secrets.create(name, value.reveal(), labels=labels),
            within=_CREATE_SECONDS,
            cancelled=_CREATE_SECONDS_WHEN_CANCELLED,
        )
    except TimeoutError:
        raise EngineUnavailable("podman does not answer when it is to keep a secret") from None


async def _remove(podman: Podman, names: Iterable[str]) -> list[str]:
    """Remove secrets whoever cancels us; return what is to be said of those that are left."""
    left = dict.fromkeys(names, "podman did not answer in time")
    with anyio.move_on_after(_REMOVE_SECONDS, shield=True):
        for name in tuple(left):
            try:
                await podman.secrets.remove(name, missing_ok=True)
            except PodmanError as error:
                left[name] = str(error)
            else:
                del left[name]
    return [
        f"secret {name} could not be removed: {reason}; `podman secret rm {name}`, "
        "or later `barasync clean`"
        for name, reason in left.items()
    ]
