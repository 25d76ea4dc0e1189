"""Registering emulators with the kernel, as their packages ask for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from barasync.errors import EngineUnavailable
from barasync.images.emulation.binfmt import Registration
from barasync.images.emulation.survey import (
    Emulator,
    Host,
    State,
    advice,
    offer_for,
    offers,
    read_registry,
    setup_command,
    survey,
)
from barasync.matrix.platforms import Platform, short_name

_MOUNT_SECONDS = 10.0

_OUTSIDE = "inside a container, run `barasync arch setup` on the machine outside"


def setup(platforms: Sequence[Platform], host: Host) -> tuple[str, ...]:
    """Register what `platforms` need and is not there; return what was done, a line each.

    Mounts the kernel's registry where it is not, registers handlers as their package ships them,
    with the flag F in any case, and switches on what is off. What is in order is left alone.
    Registrations last until the machine is booted again. Blocks for some milliseconds.

    Raises:
        EngineUnavailable: it takes root, a package is missing, or the kernel refuses; what was
            registered before that stays.
    """
    done: list[str] = []
    emulators = survey(platforms, host)
    if not all(emulator.usable for emulator in emulators):
        _insist_on_root(emulators, host)
        done += _open_registry(host.binfmt)
        emulators = survey(platforms, host)
    found = offers(host)
    _insist_on_offers(emulators, found, host)
    for emulator in emulators:
        done.append(f"{short_name(emulator.platform)}: {_mend(emulator, found, host)}")
    return tuple(done)


def _open_registry(binfmt: Path) -> list[str]:
    """Mount the registry and switch it on, where it is not."""
    done = []
    registry = read_registry(binfmt)
    if not registry.mounted:
        _mount(binfmt)
        done.append(f"mounted binfmt_misc on {binfmt}")
        registry = read_registry(binfmt)
    if not registry.running:
        _write(binfmt / "status", "1")
        done.append("switched binfmt_misc on")
    return done


def _mend(emulator: Emulator, found: Iterable[Registration], host: Host) -> str:
    """Do what one platform needs, and say what that was."""
    handler = emulator.handler
    if handler is None and emulator.usable:
        return "runs natively"
    if handler is not None and emulator.usable:
        return f"{handler.interpreter} is registered already"
    if handler is not None and not _needs_offer(emulator):
        _write(host.binfmt / handler.name, "1")
        return f"enabled {handler.interpreter}"
    offer = offer_for(emulator.platform, found)
    assert offer is not None, "setup has made sure that there is one"
    if handler is not None:
        # One without F is of no use to containers, and may have the name of the one to come.
        _write(host.binfmt / handler.name, "-1")
    _write(host.binfmt / "register", offer.line())
    return f"registered {offer.interpreter}"


def _needs_offer(emulator: Emulator) -> bool:
    """Tell whether only a new registration helps; one that is just disabled can be enabled."""
    if emulator.state is State.DISABLED:
        return emulator.handler is None or not emulator.handler.fixed
    return not emulator.usable


def _insist_on_root(emulators: Iterable[Emulator], host: Host) -> None:
    if host.root:
        return
    lacking = [emulator.platform for emulator in emulators if not emulator.usable]
    raise EngineUnavailable(
        f"registering an emulator for {', '.join(map(str, lacking))} takes root",
        hint=f"run `{setup_command(lacking, host)}`",
    )


def _insist_on_offers(
    emulators: Iterable[Emulator], found: Sequence[Registration], host: Host
) -> None:
    lacking = [
        emulator.platform
        for emulator in emulators
        if _needs_offer(emulator) and offer_for(emulator.platform, found) is None
    ]
    if lacking:
        raise EngineUnavailable(
            f"no package on this host brings an emulator for {', '.join(map(str, lacking))}",
            hint=advice(lacking, host),
        )


def _mount(binfmt: Path) -> None:
    argv = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(binfmt)]
    try:
        ended = subprocess.run(
            argv, capture_output=True, text=True, timeout=_MOUNT_SECONDS, check=False
        )
        problem = ended.stderr.strip() if ended.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem is not None:
        raise EngineUnavailable(
            f"binfmt_misc cannot be mounted on {binfmt}: {problem}",
            hint=f"{_OUTSIDE}; elsewhere the kernel module may be missing: `modprobe binfmt_misc`",
        )


def _write(path: Path, text: str) -> None:
    """Hand `text` to the kernel in one write."""
    try:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise EngineUnavailable(
            f"the kernel refuses '{text}' in {path}: {error.strerror}",
            hint=f"{_OUTSIDE}; elsewhere install the emulators' package again",
        ) from error
