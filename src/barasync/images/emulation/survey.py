"""What the kernel of this host has registered, and what that means for containers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from barasync.errors import EngineUnavailable
from barasync.images.distribution import Tool, install_command
from barasync.images.elf import EXIT_CODE, executable
from barasync.images.emulation.binfmt import (
    Handler,
    Registration,
    parse_entry,
    parse_registrations,
)
from barasync.matrix.platforms import Platform, native, short_name

_RUN_SECONDS = 10.0

_NARROWER = {"amd64": "386", "arm64": "arm"}
"""The 32-bit architecture whose programs a 64-bit processor may run as well."""


class State(StrEnum):
    """How the programs of an architecture run on this host."""

    NATIVE = "native"
    EMULATED = "emulated"
    NOT_FIXED = "not_fixed"
    DISABLED = "disabled"
    MISSING = "missing"

    @property
    def reason(self) -> str:
        """Why containers cannot run them, in words; empty where they can."""
        return {
            State.NOT_FIXED: "its emulator is registered without the flag F, "
            "so that containers do not find it",
            State.DISABLED: "its emulator is disabled",
            State.MISSING: "no emulator is registered",
        }.get(self, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The facts about a machine that decide what it can run, and where they stand.

    `machine` is what `uname -m` prints. `configuration` are the directories of binfmt.d, the one
    that counts most first.
    """

    machine: str
    root: bool
    binfmt: Path = Path("/proc/sys/fs/binfmt_misc")
    configuration: tuple[Path, ...] = (
        Path("/etc/binfmt.d"),
        Path("/run/binfmt.d"),
        Path("/usr/lib/binfmt.d"),
    )
    os_release: Path = Path("/etc/os-release")

    @classmethod
    def current(cls) -> Host:
        """Return this machine."""
        return cls(machine=os.uname().machine, root=os.geteuid() == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The kernel's registry as it was read; empty where it is not mounted.

    `running` is the switch of the whole registry.
    """

    mounted: bool
    running: bool
    handlers: tuple[Handler, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """How one platform fares on this host.

    `handler` is what the kernel has registered for it; `fix` is what to do where containers cannot
    run its programs, `None` where they can.
    """

    platform: Platform
    state: State
    handler: Handler | None = None
    fix: str | None = None

    @property
    def usable(self) -> bool:
        """Whether containers on this host can run its programs."""
        return self.state in {State.NATIVE, State.EMULATED}


def survey(platforms: Iterable[Platform], host: Host) -> tuple[Emulator, ...]:
    """Return how every platform fares on `host`, in the order given.

    Reads the kernel's registry and, for a 32-bit architecture that this processor may know, runs a
    program: blocks for some milliseconds. Changes nothing; needs no privileges.

    Raises:
        EngineUnavailable: the host's machine is not in the table of architectures.
    """
    registry = read_registry(host.binfmt)
    own = native(host.machine).architecture
    return tuple(_examine(platform, own, registry, host) for platform in platforms)


def require(platforms: Iterable[Platform], host: Host) -> None:
    """Make sure that containers on `host` can run the programs of every platform.

    For a podman service on this machine; only `check` can tell about another one. Blocks as
    `survey` does.

    Raises:
        EngineUnavailable: they cannot; the message names the platforms, the hint what to do.
    """
    lacking = [emulator for emulator in survey(platforms, host) if not emulator.usable]
    if lacking:
        listed = ", ".join(f"{each.platform} ({each.state.reason})" for each in lacking)
        raise EngineUnavailable(
            f"this host cannot run {listed}",
            hint=advice([each.platform for each in lacking], host),
        )


def judge(platform: Platform, registry: Registry) -> tuple[State, Handler | None]:
    """Return what the registered handlers mean for a platform that is not the host's own.

    Where several claim its programs the best is returned: the kernel passes over a disabled one,
    and those registered later come first.
    """
    program = executable(platform)
    claimants = [each for each in registry.handlers if each.claim.covers(program)]
    for state in (State.EMULATED, State.NOT_FIXED, State.DISABLED):
        for handler in claimants:
            if _state(handler, running=registry.running) is state:
                return state, handler
    return State.MISSING, None


def read_registry(binfmt: Path) -> Registry:
    """Read what the kernel has registered below the mount point `binfmt`."""
    control = {binfmt / "register", binfmt / "status"}
    try:
        status = (binfmt / "status").read_text(encoding="ascii").strip()
        entries = sorted(set(binfmt.iterdir()) - control)
    except OSError:
        return Registry(mounted=False, running=False)
    handlers = []
    for entry in entries:
        try:
            text = entry.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:  # removed since the directory was read
            continue
        handler = parse_entry(entry.name, text)
        if handler is not None:
            handlers.append(handler)
    return Registry(mounted=True, running=status == "enabled", handlers=tuple(handlers))


def offers(host: Host) -> list[Registration]:
    """Read which handlers the packages of `host` offer; a file hides its namesakes further back."""
    found: list[Registration] = []
    seen: set[str] = set()
    for directory in host.configuration:
        for path in sorted(directory.glob("*.conf")):
            if path.name not in seen and path.is_file():
                seen.add(path.name)
                text = path.read_text(encoding="utf-8", errors="surrogateescape")
                found.extend(parse_registrations(text))
    return found


def offer_for(platform: Platform, found: Iterable[Registration]) -> Registration | None:
    """Return the offered handler that takes programs of `platform`, `None` if there is none."""
    program = executable(platform)
    return next((offer for offer in found if offer.claim.covers(program)), None)


def advice(platforms: Sequence[Platform], host: Host) -> str:
    """Return what to do so that `platforms` run, a package named where one is missing."""
    command = f"`{setup_command(platforms, host)}`"
    found = offers(host)
    if all(offer_for(platform, found) for platform in platforms):
        return f"run {command}"
    try:
        os_release = host.os_release.read_text(encoding="utf-8", errors="replace")
    except OSError:
        os_release = ""
    install = install_command(Tool.EMULATORS, os_release)
    if install is None:
        return f"install {Tool.EMULATORS}, then run {command}"
    return f"install the emulators with `{_sudo(host)}{install}`, then run {command}"


def setup_command(platforms: Iterable[Platform], host: Host) -> str:
    """Return the command line that registers emulators for `platforms`."""
    return f"{_sudo(host)}barasync arch setup {' '.join(map(short_name, platforms))}"


def _examine(platform: Platform, own: str, registry: Registry, host: Host) -> Emulator:
    """Return how one platform fares on a host of the architecture `own`."""
    if platform.architecture == own:
        return Emulator(platform=platform, state=State.NATIVE)
    state, handler = judge(platform, registry)
    if state is State.EMULATED:
        return Emulator(platform=platform, state=state, handler=handler)
    if _NARROWER.get(own) == platform.architecture and _runs_here(platform):
        return Emulator(platform=platform, state=State.NATIVE)
    fix = advice([platform], host)
    return Emulator(platform=platform, state=state, handler=handler, fix=fix)


def _state(handler: Handler, *, running: bool) -> State:
    if not (handler.enabled and running):
        return State.DISABLED
    return State.EMULATED if handler.fixed else State.NOT_FIXED


def _runs_here(platform: Platform) -> bool:
    """Tell whether this host's kernel runs a program of `platform` by itself."""
    writable = os.memfd_create("probe", 0)
    try:
        os.write(writable, executable(platform))
        # The kernel does not execute what is still open for writing.
        readable = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY)
    finally:
        os.close(writable)
    program = f"/proc/self/fd/{readable}"
    try:
        ended = subprocess.run([program], pass_fds=(readable,), timeout=_RUN_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    finally:
        os.close(readable)
    return ended.returncode == EXIT_CODE


def _sudo(host: Host) -> str:
    return "" if host.root else "sudo "
