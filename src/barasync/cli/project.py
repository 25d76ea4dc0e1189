"""The project a command works on: its configuration file, its directory, its files."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from barasync.config.load import find, load_with
from barasync.config.origin import Origin
from barasync.config.schema import Document, ImageTable
from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project; `has_file` tells whether a configuration file was found upwards of here.

    `directory` is where the file lies, else the working directory: what a workspace is made of,
    and where the record of runs goes. `document` is `None` where neither a file nor the command
    line says anything.
    """

    directory: Path
    document: Document | None
    origin: Origin
    has_file: bool

    @property
    def images(self) -> Mapping[str, ImageTable]:
        """The images that the file declares, by their names."""
        return {} if self.document is None else self.document.images

    def image(self, name: str) -> ImageTable:
        """Return the table of a declared image.

        Raises:
            ConfigError: the file declares none of that name, or there is no file.
        """
        if name not in self.images and not self.has_file:
            raise ConfigError(
                f"there is no image '{name}': neither {self.directory} nor a directory above it has"
                f" a {self.origin.file}",
                hint="change into the project's directory, or write the file there",
            )
        if name not in self.images:
            raise ConfigError(
                f"{self.origin.file} declares no image '{name}'{did_you_mean(name, self.images)}",
                hint="write a table [images.NAME] with `from`, `bootstrap` or `containerfile`",
            )
        return self.images[name]

    def has_executable(self, name: str) -> bool:
        """Tell whether a file of that name in the directory can be executed."""
        return is_executable(self.directory / name)


def is_executable(path: Path) -> bool:
    """Tell whether it is a file that can be executed."""
    return os.access(path, os.X_OK) and path.is_file()


def find_project(
    start: Path, define: Sequence[str] | None = None, *, called: Mapping[str, str] | None = None
) -> Project:
    """Find and read the configuration of the project that `start`, an absolute path, lies in.

    `define` are settings of the command line, `TABLE.NAME.KEY=VALUE`, that are laid over it; their
    relative paths start at `start`. `called` is what messages call images that these alone declare.

    Raises:
        ConfigError: the file cannot be read or what it or a definition says is not allowed.
    """
    path = find(start)
    directory = start if path is None else path.parent
    if path is None and not define:
        return Project(directory=directory, document=None, origin=Origin(), has_file=False)
    document, origin = load_with(path, define or (), start, called)
    return Project(directory=directory, document=document, origin=origin, has_file=path is not None)


def refuse_a_whole_home(directory: Path, home: str | None) -> None:
    """Refuse a workspace that surely is no project: the root or anybody's home directory.

    `home` is what the environment says: under sudo it may be root's, or anything. Blocks where the
    accounts are asked for over a network.

    Raises:
        ConfigError: it is one of these.
    """
    directory = directory.resolve()
    places = [Path("/"), *([Path(home)] if home else []), *_homes(directory)]
    if any(_is(directory, place) for place in places):
        raise ConfigError(
            f"{directory} would go into every cell as the workspace, and is hardly a project",
            hint="change into the project's directory, or give --workspace none",
        )


def _is(directory: Path, place: Path) -> bool:
    """Tell whether both are one; a place below a directory that we may not search is another."""
    try:
        return place.is_dir() and directory.samefile(place)
    except OSError:
        return False


def _homes(directory: Path) -> Iterator[Path]:
    """Give the home directories of accounts that `directory` may be, by its owner and its name.

    Looking at all of them might mount each of them over a network. Not all accounts are listed
    where a network knows them, but its owner can always be asked for.
    """
    with suppress(KeyError):  # the owner has no account
        yield Path(pwd.getpwuid(directory.stat().st_uid).pw_dir)
    for account in pwd.getpwall():
        home = Path(account.pw_dir)
        if home.name == directory.name:
            yield home
