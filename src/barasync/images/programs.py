"""Which names are programs of an image: what its PATH leads to, and may be executed.

It is looked at through a container that is never started. Podman takes the path for a pattern
there (measured on 4.3.1 and 5.4.2), so names that would be one are not asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec
from anyio import to_thread

from barasync.aiopodman import Container, ContainerSpec, Podman, temporary
from barasync.errors import EngineUnavailable
from barasync.images.failures import explained
from barasync.whole_file import write_whole

MOST_ANSWERS = 2000
"""How many answers are kept; the one that was longest not asked for goes first."""

# What podman gives a container whose image sets none.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MOST_BYTES = 4 << 20
_EXECUTABLE = 0o111
_DIGITS = 12


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a name: `image` is an ID, `path` the PATH that was asked for, if any was."""

    image: str
    path: str | None
    name: str
    found: bool

    @property
    def question(self) -> tuple[str, str | None, str]:
        """What it is the answer to."""
        return self.image, self.path, self.name


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """The file: answers, the one longest not asked for first. Another schema is another file."""

    schema: Literal[1]
    answers: list[Answer]


class Programs:
    """Looks for programs in images, each once: `file` keeps the answers, for an ID never changes.

    `labels` are those of the containers that it takes.
    """

    def __init__(
        self, podman: Podman, file: Path, *, labels: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._podman = podman
        self._file = file
        self._labels = labels

    async def find(
        self, image_id: str, names: Iterable[str], *, path: str | None = None
    ) -> frozenset[str]:
        """Return those of `names` that are programs of an image, by `path` or else by its PATH.

        When cancelled, no container is left. What is mounted in a cell is not seen.

        Raises:
            ImageError: podman refuses to make a container of it.
            EngineUnavailable: podman does not answer.
        """
        known = await to_thread.run_sync(read_answers, self._file)
        asked = [(image_id, path, name) for name in dict.fromkeys(names)]
        answers = [known[question] for question in asked if question in known]
        unknown = [name for *_, name in asked if (image_id, path, name) not in known]
        if unknown:
            found = await self._look(image_id, unknown, path)
            answers += [
                Answer(image=image_id, path=path, name=name, found=name in found)
                for name in unknown
            ]
            # The next one looks again.
            with suppress(OSError):
                await to_thread.run_sync(partial(keep_answers, self._file, answers))
        return frozenset(answer.name for answer in answers if answer.found)

    async def _look(self, image_id: str, names: Iterable[str], path: str | None) -> frozenset[str]:
        action = f"looking for {', '.join(names)} in image {image_id[:_DIGITS]}"
        spec = ContainerSpec(image=image_id, command=("true",), labels=self._labels)
        try:
            with explained(action):
                places = _directories(path or await self._path_of(image_id))
                async with temporary(self._podman.containers, spec) as container:
                    found = [name for name in names if await _has(container, places, name)]
        except TimeoutError as error:
            raise EngineUnavailable(f"{action}: podman made no container in time") from error
        return frozenset(found)

    async def _path_of(self, image_id: str) -> str:
        settings = (await self._podman.images.inspect(image_id)).config.env
        given = [setting.removeprefix("PATH=") for setting in settings if setting[:5] == "PATH="]
        return given[-1] if given else _PATH


async def _has(container: Container, directories: Iterable[str], name: str) -> bool:
    for directory in directories:
        found = await container.stat(f"{directory}/{name}")
        if found is not None and found.target is not None:
            found = await container.stat(found.target)
        if found is None or found.is_directory or found.special is not None:
            continue
        if found.permissions & _EXECUTABLE:
            return True
    return False


def _directories(path: str) -> tuple[str, ...]:
    """Return the directories of a PATH; what is relative depends on where one is."""
    return tuple(dict.fromkeys(each.rstrip("/") for each in path.split(":") if each[:1] == "/"))


def read_answers(file: Path) -> dict[tuple[str, str | None, str], Answer]:
    """Return what is kept, by question; a file that is not there or not whole is as good as empty.

    Blocking.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            return {}
        answers = msgspec.json.decode(text, type=_Document).answers
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {answer.question: answer for answer in answers}


def keep_answers(file: Path, answers: Iterable[Answer]) -> None:
    """Add answers to what the file holds, in one step: readers see all of it or none.

    Blocking. Of two that do so in the same moment one may be forgotten, but the file stays whole.

    Raises:
        OSError: the file cannot be written; what was there is still there, and nothing else.
    """
    kept = read_answers(file)
    for answer in answers:
        kept.pop(answer.question, None)
        kept[answer.question] = answer
    newest = list(kept.values())[-MOST_ANSWERS:]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, msgspec.json.encode(_Document(schema=1, answers=newest)))
