"""The run's events as JSON lines: the record that every report is a reduction of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from barasync.errors import ConfigError
from barasync.events import AnyEvent, Event

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
_FILE_MODE = 0o666


class _Named(msgspec.Struct):
    """The one field that every event has in every version."""

    event: str


def _plain(value: object) -> object:
    """Turn what msgspec does not know, a read-only mapping, into what it does."""
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"an event holds a {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_NAME_DECODER = msgspec.json.Decoder(_Named)
_NAMES = frozenset(kind.__struct_config__.tag for kind in Event.__subclasses__())


def encode(value: object) -> bytes:
    r"""Return the JSON of an event or of a document made from events, without a newline.

    A name that is not UTF-8 (a path on disk, a member of a cell's archive) holds lone surrogates
    here, which JSON cannot carry; they come out as their escapes (`\udc80`), as text.
    """
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        return _ENCODER.encode(_escaped(msgspec.to_builtins(value, enc_hook=_plain)))


def decode(line: bytes) -> AnyEvent | None:
    """Return the event of a line, `None` for one that this version does not know.

    Raises:
        msgspec.DecodeError: the line is no event.
    """
    try:
        return _DECODER.decode(line)
    except msgspec.ValidationError:
        if _NAME_DECODER.decode(line).event in _NAMES:
            raise
        return None


class EventLog:
    """Appends events to a new file; each one is there as soon as `emit` returns.

    Use as a context manager: it creates the file and closes it. When the disk refuses, the first
    `OSError` is kept in `problem` and later events are dropped: a line that was cut must stay the
    last one, and the run goes on.
    """

    def __init__(self, path: Path) -> None:
        self.problem: OSError | None = None
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open(self._path, _FLAGS, _FILE_MODE)
        except OSError as error:
            self.problem = error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def emit(self, event: AnyEvent) -> None:
        """Append an event: one line in one system call, a few microseconds.

        Blocking, on purpose: an event that was seen is an event that is recorded, even if this
        process is killed in the next moment.
        """
        if self.problem is not None:
            return
        assert self._descriptor is not None, "events are emitted while the log is open"
        rest = memoryview(encode(event) + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.problem = error


def read_events(path: Path) -> Iterator[AnyEvent]:
    """Yield the events of a file in order; blocking.

    A last line without its end is what a killed run leaves; it is left out. So are events of a
    kind that only a later version knows.

    Raises:
        ConfigError: the file cannot be read, or a line is no event; the message names the line.
    """
    try:
        with path.open("rb") as file:
            yield from _events(file, path)
    except OSError as error:
        raise ConfigError(
            f"cannot read the record {path}: {error.strerror}",
            hint="a run's record is the file events.jsonl in its directory",
        ) from error


def _events(file: BinaryIO, path: Path) -> Iterator[AnyEvent]:
    for number, line in enumerate(file, start=1):
        if not line.endswith(b"\n"):
            return
        try:
            event = decode(line)
        except msgspec.DecodeError as error:
            raise ConfigError(f"{path}:{number}: not an event of a run: {error}") from error
        if event is not None:
            yield event


def _escaped(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", errors="backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return value
