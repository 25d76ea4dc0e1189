"""The values of the secrets that a plan names: read here, and shown to nobody."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from barasync.aiopodman import PodmanVersion, quirks
from barasync.aiopodman.secrets import MOST_BYTES
from barasync.config.secrets import Secret, parse_secret
from barasync.errors import ConfigError
from barasync.masking.masker import not_masked
from barasync.masking.value import SecretValue
from barasync.matrix.plan import Plan


def read_secrets(plan: Plan, environ: Mapping[str, str]) -> dict[str, SecretValue]:
    """Read the values of all secrets of a plan, by source; blocking.

    Raises:
        ConfigError: a variable is not set, a file cannot be read, or podman does not take such a
            value. Neither a value nor a path is quoted: a value may have been written for a path.
    """
    values: dict[str, SecretValue] = {}
    for cell in plan.cells:
        for secret in map(parse_secret, cell.settings.secrets):
            if secret.source not in values:
                place = f"{cell.provenance['secrets']}: secret {secret.name}"
                values[secret.source] = SecretValue(_read(secret, environ, place))
    return values


def secret_notes(
    plan: Plan, values: Mapping[str, SecretValue], podman: PodmanVersion
) -> tuple[str, ...]:
    """Return a sentence for a person on each way in which secrets are not as secret as hoped."""
    secrets = dict.fromkeys(
        parse_secret(text) for cell in plan.cells for text in cell.settings.secrets
    )
    notes = [
        f"secret {secret.name}: of its lines {' and '.join(lines)} are not masked one by one"
        for secret in secrets
        if (lines := not_masked(values[secret.source].reveal()))
    ]
    shown = [secret.name for secret in secrets if secret.in_environment]
    if shown and quirks.SECRET_ENV_IS_SHOWN.is_active(podman.release):
        notes.append(
            f"podman {podman} shows the value of a secret in the environment "
            f"({', '.join(dict.fromkeys(shown))}) to whoever inspects the container; that of a "
            "secret in a file it does not"
        )
    return tuple(notes)


def _read(secret: Secret, environ: Mapping[str, str], place: str) -> bytes:
    if secret.variable is not None:
        data = _read_variable(secret.variable, environ, place)
    else:
        data = _read_file(Path(secret.source), place)
    if not data:
        raise ConfigError(f"{place}: the value is empty")
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{place}: podman keeps {MOST_BYTES} bytes at most, and this is more")
    return data


def _read_variable(name: str, environ: Mapping[str, str], place: str) -> bytes:
    value = environ.get(name)
    if value is None:
        raise ConfigError(f"{place}: the variable {name} is not set")
    data = os.fsencode(value)
    if b"\0" in data:
        raise ConfigError(f"{place}: a value with a NUL byte cannot be in an environment")
    # Podman puts U+FFFD in the place of other bytes, and a value that differs is not masked.
    if data.decode("utf-8", "replace").encode() != data:
        raise ConfigError(
            f"{place}: the value of {name} is not UTF-8, and podman changes such a value in an "
            "environment",
            hint="give it as a file: write NAME=PATH",
        )
    return data


def _read_file(path: Path, place: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{place}: its file cannot be read: {error.strerror}",
            hint="write NAME=PATH, or NAME=env:VARIABLE; a value itself has no place here",
        ) from None
