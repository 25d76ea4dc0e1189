"""How long cells took and how they ended: what a run remembers of those before it.

`History` is pure. `read_history` and `remember` keep it in a JSON file, `.barasync/history.json` of
a project. The file only makes runs shorter: whatever is wrong with it, a run goes on without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from barasync.matrix.outcome import Status
from barasync.whole_file import write_whole

MOST_RECORDS = 10_000

_LONGEST_NAME = 500
# Several times what the longest history takes: a larger file was not written here.
_MOST_BYTES = 32 << 20
_ENDED_BY_ITSELF = frozenset(
    {Status.PASSED, Status.FAILED, Status.ARTIFACTS_INCOMPLETE, Status.SNAPSHOT_FAILED}
)
_PREPARATION = ("image", "workspace")
_AFTERMATH = ("collect", "snapshot")
_NOT_PASSED = frozenset(
    {Status.FAILED, Status.ARTIFACTS_INCOMPLETE, Status.TIMED_OUT, Status.OUT_OF_MEMORY}
)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a cell of a rule; `seconds` is `None` until it ended by itself."""

    rule: str
    cell: str
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    failed: bool = False


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """The file: records, the one longest untouched first. Another schema is another file."""

    schema: Literal[1]
    records: list[Record]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt that has ended, as it is to be remembered.

    `seconds` is how long it kept what it claims of the host: from its start on, the preparation of
    its image not counted, to its end or to where its artifacts or its snapshot are waited for.
    """

    rule: str
    cell: str
    status: Status
    seconds: float

    @classmethod
    def of(
        cls, rule: str, cell: str, status: Status, seconds: float, phases: Mapping[str, float]
    ) -> Ended:
        """Make it from a verdict, the `seconds` of the whole attempt and those of its phases."""
        released = any(phase in phases for phase in _AFTERMATH)
        free = (*_PREPARATION, *_AFTERMATH, "remove") if released else _PREPARATION
        own = max(0.0, seconds - sum(phases.get(phase, 0.0) for phase in free))
        return cls(rule=rule, cell=cell, status=status, seconds=own)


class History:
    """The newest records of the cells of a project, `MOST_RECORDS` at most."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records: dict[tuple[str, str], Record] = {}
        for record in records:
            self._put(record)

    def __iter__(self) -> Iterator[Record]:
        """Yield the records, the one longest untouched first."""
        return iter(self._records.values())

    def seconds(self, rule: str, cell: str) -> float | None:
        """Return how long a cell is to be expected to take, `None` where nothing is known."""
        record = self._records.get(_key(rule, cell))
        return None if record is None else record.seconds

    def failed(self, rule: str, cell: str) -> bool:
        """Whether a cell did not pass when it last had a chance to."""
        record = self._records.get(_key(rule, cell))
        return record is not None and record.failed

    def note(self, ended: Ended) -> None:
        """Take an attempt into account.

        A duration is the mean of the last and of what was remembered, so that one slow day is
        forgotten within a few runs. A timeout says only that the cell takes at least so long, an
        end for lack of memory nothing of the kind. What was cancelled, or was podman's fault, says
        nothing at all. A cell whose rule and id are longer than 500 characters is not remembered.
        """
        rule, cell = _key(ended.rule, ended.cell)
        if len(rule) + len(cell) > _LONGEST_NAME:
            return
        if ended.status not in _ENDED_BY_ITSELF | _NOT_PASSED:
            return
        known = self.seconds(rule, cell)
        if ended.status in _ENDED_BY_ITSELF:
            known = ended.seconds if known is None else (known + ended.seconds) / 2
        elif ended.status is Status.TIMED_OUT:
            known = max(known or 0.0, ended.seconds)
        self._put(
            Record(
                rule=rule,
                cell=cell,
                seconds=None if known is None else round(known, 3),
                failed=ended.status in _NOT_PASSED,
            )
        )

    def _put(self, record: Record) -> None:
        key = _key(record.rule, record.cell)
        self._records.pop(key, None)
        self._records[key] = record
        if len(self._records) > MOST_RECORDS:
            del self._records[next(iter(self._records))]


def read_history(path: Path) -> History:
    """Read what is remembered; a file that is not there or not whole is as good as empty.

    Blocking.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            return History()
        return History(msgspec.json.decode(text, type=_Document).records)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return History()


def remember(path: Path, ended: Iterable[Ended]) -> None:
    """Add attempts to what the file holds, in one step: readers see all of it or none.

    Blocking. Of two runs that do so in the same moment one may be forgotten, but the file stays
    whole. It is not synced: what a power cut damages counts as none, and is replaced.

    Raises:
        OSError: the file cannot be written; what was there is still there, and nothing else.
    """
    history = read_history(path)
    for each in ended:
        history.note(each)
    text = msgspec.json.encode(_Document(schema=1, records=list(history)))
    write_whole(path, msgspec.json.format(text, indent=1) + b"\n")


def _key(rule: str, cell: str) -> tuple[str, str]:
    """Return the names as JSON can carry them: a rule may hold bytes that are no UTF-8."""
    return _text(rule), _text(cell)


def _text(name: str) -> str:
    return name.encode("utf-8", errors="backslashreplace").decode()
