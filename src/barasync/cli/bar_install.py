"""Copies the modules of Bar.d into a project, never over local changes.

The second line of a module that was installed is `# barasync VERSION SHA256`, the digest of its
other lines: by it a later call tells whether it was changed.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import typer

import barasync
from barasync.artifacts.manifest import escaped
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK, ConfigError, InternalError
from barasync.whole_file import remove_abandoned, whole_file

MODULES = ("podman", "podman_rules")

DIRECTORIES = ("Bar.d", "bar.d", ".Bar.d", ".bar.d")
"""Where bar looks for modules, in its order."""

# What comes before the first of a version, and after it.
_STAGES = {"dev": -4, "a": -3, "b": -2, "rc": -1, "post": 1}
_VERSION = re.compile(r"(?P<release>[0-9]+(?:\.[0-9]+)*)[-_.]?(?P<stage>[a-z]*)(?P<rest>.*)")
_STAMP = re.compile(rb"# barasync (?P<version>\S+) (?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of `barasync bar install`."""

    update_only: bool = False
    diff: bool = False
    force: bool = False
    dry_run: bool = False


class State(Enum):
    """What is at a module's place."""

    MISSING = auto()
    CURRENT = auto()
    OLDER = auto()
    NEWER = auto()
    CHANGED = auto()
    FOREIGN = auto()


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a module's place, and the version of barasync that it came with, if any."""

    state: State
    version: str = ""

    @property
    def stays(self) -> bool:
        """Whether it is not replaced unless that is asked for."""
        return self.state in {State.NEWER, State.CHANGED, State.FOREIGN}


@dataclass(frozen=True, slots=True)
class Module:
    """A module in the project: `new` is what is to be there, `old` what is there."""

    place: Path
    new: bytes
    old: bytes | None
    found: Found


def stamped(text: bytes, version: str) -> bytes:
    """Return a module as it is installed: with the line that names its version and digest."""
    first, rest = _parted(text)
    digest = hashlib.sha256(text).hexdigest()
    return first + f"# barasync {version} {digest}\n".encode() + rest


def find(there: bytes | None, text: bytes, version: str) -> Found:
    """Tell what the content of a module's place is to a barasync of `version`, which has `text`."""
    if there is None:
        return Found(State.MISSING)
    first, rest = _parted(there)
    line, others = _parted(rest)
    stamp = _STAMP.fullmatch(line.rstrip(b"\n"))
    if stamp is None:
        # Somebody has copied it by hand, which is as good.
        return Found(State.MISSING if there == text else State.FOREIGN)
    installed = stamp["version"].decode(errors="replace")
    body = first + others
    if hashlib.sha256(body).hexdigest() != stamp["digest"].decode():
        return Found(State.CHANGED, installed)
    if body == text and installed == version:
        return Found(State.CURRENT, installed)
    newer = _order(installed) > _order(version)
    return Found(State.NEWER if newer else State.OLDER, installed)


def _parted(text: bytes) -> tuple[bytes, bytes]:
    """Return the first line, with its end, and the others."""
    end = text.find(b"\n") + 1 or len(text)
    return text[:end], text[end:]


def _order(version: str) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    """Return what versions are compared by: 0.2.0.dev3 comes before 0.2.0, and 0.2.0.post1 after.

    Source: PEP 440, as far as versions of barasync go.
    """
    found = _VERSION.match(version)
    if found is None:
        return (), 0, ()
    return _numbers(found["release"]), _STAGES.get(found["stage"], 0), _numbers(found["rest"])


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", text)))


def install_modules(project: Path, asked: Asked) -> int:
    """Install or update the modules in a project, say what was done, and return the exit code.

    Every place is looked at before the first one is written, and all is written before the first
    takes its place, so that a full disk changes nothing. A process that is killed then leaves each
    module old or new, and a later call does the rest, and removes what files it left.

    Raises:
        ConfigError: there is no directory for modules, or what is there cannot be replaced.
    """
    directory = _directory(project)
    modules = [_look(directory / name) for name in MODULES]
    if asked.update_only:
        modules = [each for each in modules if each.old is not None]
    refused = [] if asked.force else [each for each in modules if each.found.stays]
    writes = not (asked.diff or asked.dry_run or refused)
    if asked.force and not asked.diff:
        for each in modules:
            _require_no_backup(each)
    if writes:
        remove_abandoned(directory)
        _install([each for each in modules if each.found.state is not State.CURRENT])
    for each in modules:
        if asked.diff:
            typer.echo("".join(_difference(each)), nl=False)
        else:
            typer.echo(f"{escaped(str(each.place))}: {_told(each, written=writes, asked=asked)}")
    if refused:
        names = " and ".join(escaped(str(each.place)) for each in refused)
        typer.echo(
            f"barasync: nothing was written, because of {names}\n"
            "  hint: `--diff` shows what would change, `--force` keeps the old one as .NAME.orig",
            err=True,
        )
    return EXIT_NOT_PASSED if refused else EXIT_OK


def _directory(project: Path) -> Path:
    """Return the project's directory of modules, as bar finds it."""
    if not project.is_dir():
        raise ConfigError(f"DIR: {escaped(str(project))} is not a directory")
    for name in DIRECTORIES:
        place = project / name
        if place.is_symlink():
            raise ConfigError(
                f"{escaped(str(place))} is a link, and its target may be another project's",
                hint="name the directory that it leads into",
            )
        if place.is_dir():
            return place
    raise ConfigError(
        f"{escaped(str(project.absolute()))} has no Bar.d",
        hint="copy bar and its own Bar.d here; `bar init` does, but overwrites a Barf",
    )


def _look(place: Path) -> Module:
    """Look at a module's place.

    Raises:
        ConfigError: something else than a regular file is there, or it cannot be read.
    """
    text = (_shipped() / place.name).read_bytes()
    if place.is_symlink() or (place.exists() and not place.is_file()):
        raise ConfigError(
            f"{escaped(str(place))} is not a regular file", hint="move it away, then try again"
        )
    try:
        old = place.read_bytes() if place.exists() else None
    except OSError as error:
        raise ConfigError(f"{escaped(str(place))} cannot be read: {error.strerror}") from error
    version = barasync.__version__
    return Module(place, stamped(text, version), old, find(old, text, version))


def _shipped() -> Path:
    """Return the directory of the modules that came with this barasync."""
    package = Path(barasync.__file__).parent
    for place in (package / "Bar.d", package.parents[1] / "Bar.d"):
        if all((place / name).is_file() for name in MODULES):
            return place
    raise InternalError(f"{package} came without the modules of Bar.d")


def _backup(module: Module) -> Path:
    # Bar takes every other name in the directory for a module.
    return module.place.with_name(f".{module.place.name}.orig")


def _require_no_backup(module: Module) -> None:
    backup = _backup(module)
    if not module.found.stays or not os.path.lexists(backup):
        return
    # A call that was killed before it replaced the module has left just this.
    try:
        is_this = backup.is_file() and backup.read_bytes() == module.old
    except OSError as error:
        raise ConfigError(f"{escaped(str(backup))} cannot be read: {error.strerror}") from error
    if not is_this:
        raise ConfigError(
            f"{escaped(str(backup))} is there already, from an earlier --force",
            hint="move it away, then try again",
        )


def _install(modules: Sequence[Module]) -> None:
    """Put modules in their places, all written before the first; what `stays` is kept before."""
    with ExitStack() as written:
        for each in modules:
            written.enter_context(_written(each.place, each.new))
        # What is entered last takes its place first.
        for each in modules:
            if each.found.stays:
                assert each.old is not None, "only what is there stays"
                written.enter_context(_written(_backup(each), each.old))


@contextmanager
def _written(place: Path, content: bytes) -> Iterator[None]:
    """Write a file that takes its place at the end of the block, and goes if that fails."""
    try:
        with whole_file(place) as descriptor:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(content)
            yield
    except OSError as error:
        raise ConfigError(f"{escaped(str(place))} cannot be written: {error.strerror}") from error


def _told(module: Module, *, written: bool, asked: Asked) -> str:
    """Return what became of a module, or would have become of it."""
    version = barasync.__version__
    found = module.found
    stays = {
        State.CHANGED: f"changed here, since {found.version}",
        State.FOREIGN: "not of barasync",
        State.NEWER: f"of {found.version}, newer than this barasync {version}",
    }
    if found.state is State.CURRENT:
        return f"current, {version}"
    if found.state in stays and not asked.force:
        return stays[found.state]
    if found.state in stays:
        done, rest = "replaced", f"by {version}, the old one is {_backup(module).name}"
    elif found.state is State.OLDER:
        done, rest = "updated", f"{found.version} → {version}"
    else:
        done, rest = "installed", version
    return f"{done} {rest}" if written else f"would be {done} {rest}"


def _difference(module: Module) -> Iterator[str]:
    """Give the lines of a unified diff from what is there to what would be."""
    name = escaped(str(module.place))
    old, new = (_lines(content) for content in (module.old or b"", module.new))
    yield from difflib.unified_diff(old, new, name, f"{name} of barasync {barasync.__version__}")


def _lines(content: bytes) -> Sequence[str]:
    lines = content.decode(errors="backslashreplace").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n\\ No newline at end of file\n"
    return lines
