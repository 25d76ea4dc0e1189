"""Which container a word means: pure, over what podman lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from barasync.aiopodman import ContainerSummary
from barasync.config.spelling import did_you_mean
from barasync.engine.detached import attempt_name, detached_name
from barasync.engine.identity import ATTEMPT, CELL, RUN
from barasync.errors import ConfigError
from barasync.report.kept import LAST

ID_DIGITS = 12
_FEWEST_DIGITS = 4
_MOST_LISTED = 5
_ID = re.compile(rf"[0-9a-f]{{{_FEWEST_DIGITS},64}}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_CELL_OF_RUN = re.compile(rf"(?P<run>{_NAME.pattern})/(?P<cell>{_NAME.pattern})")
_LIVE = frozenset({"initialized", "running", "paused", "stopping"})
_LISTS = "`barasync container list --all` lists them; `--url` chooses another service"
_GONE = (
    "the container of a cell is removed when the cell has ended, and its output is below"
    " `.barasync/runs`; `barasync container list --all` lists those that are there"
)


def resolve(word: str, containers: Sequence[ContainerSummary]) -> ContainerSummary:
    """Return the container that `word` means: a name, the beginning of an ID, RUN/CELL or CELL.

    An ID takes four digits at least. RUN/CELL is the container of the cell itself, not of a service
    beside it, and the one that runs, or else the newest attempt; RUN is the beginning of an ID that
    no other run with containers has, or `last`, the newest of them. CELL is that of the only run in
    which it runs, or where it runs in none, that of the only run which has it. A name, or a whole
    ID, goes before all of this.

    Raises:
        ConfigError: it means none, or several, or nothing at all.
    """
    for container in containers:
        if word in container.names or word == container.id:
            return container
    if (pair := _CELL_OF_RUN.fullmatch(word)) is not None:
        return _cell_of_run(pair["run"], pair["cell"], containers)
    require_word(word)
    meant = [each for each in containers if _ID.fullmatch(word) and each.id.startswith(word)]
    meant += [each for each in _of_cell(word, containers) if each not in meant]
    if len(meant) > 1:
        shown = ", ".join(map(described, meant[:_MOST_LISTED]))
        more = ", …" if len(meant) > _MOST_LISTED else ""
        raise ConfigError(
            f"{word} may be any of {len(meant)} containers: {shown}{more}",
            hint="give the name, or RUN/CELL",
        )
    if meant:
        return meant[0]
    nearest = did_you_mean(word, _words(containers))
    # What is no mistake in writing is most often a cell whose run is over.
    hint = _LISTS if nearest or _ID.fullmatch(word) else f"{_GONE}; `--url` chooses another service"
    raise ConfigError(f"there is no container {word}{nearest}", hint=hint)


def require_word(word: str) -> None:
    """Raise `ConfigError` for what can mean no container, whichever there are."""
    if _NAME.fullmatch(word) is None and _CELL_OF_RUN.fullmatch(word) is None:
        raise ConfigError(
            f"CONTAINER: {word!r} is not the name or ID of a container, nor RUN/CELL or CELL"
        )


def called(container: ContainerSummary) -> str:
    """Return the name of a container, or the beginning of its ID where it has none."""
    return container.names[0] if container.names else container.id[:ID_DIGITS]


def described(container: ContainerSummary) -> str:
    """Return the name of a container with its state."""
    return f"{called(container)} ({container.state})"


def is_live(container: ContainerSummary) -> bool:
    """Tell whether a container has a process: one that runs, waits for its start, or is paused."""
    return container.state in _LIVE


def is_of_barasync(container: ContainerSummary) -> bool:
    """Tell whether a run of barasync has made a container, or somebody of what a run has made."""
    return bool(container.labels.get(RUN))


def is_cells_own(container: ContainerSummary) -> bool:
    """Tell whether a container is that of an attempt, and not of a service beside it."""
    labels = container.labels
    try:
        name = attempt_name(labels[RUN], labels[CELL], labels[ATTEMPT])
    except KeyError:
        return False
    return name in container.names or detached_name(name) in container.names


def of_run(
    containers: Iterable[ContainerSummary], *, run: str | None, cell: str | None
) -> list[ContainerSummary]:
    """Return the containers of a run, of a cell of all runs, or of both, services included.

    `run` is its ID, the beginning of one that no other has, or `last`, the one that began last.

    Raises:
        ConfigError: no container is of such a run, or of such a cell; or `run` may be several.
    """
    found = list(containers)
    if run is not None:
        meant = _run_meant(run, filter(is_of_barasync, found))
        found = [each for each in found if each.labels.get(RUN) == meant]
    if cell is not None:
        known = {each.labels[CELL] for each in found if CELL in each.labels}
        if cell not in known:
            raise _unknown("cell", cell, known)
        found = [each for each in found if each.labels.get(CELL) == cell]
    return found


def _run_meant(word: str, containers: Iterable[ContainerSummary]) -> str:
    """Return the ID of the run that a word is, or is the beginning of, or of the `last` one."""
    began: dict[str, float] = {}
    for each in containers:
        run = each.labels[RUN]
        moment = 0.0 if each.created is None else each.created.timestamp()
        began[run] = min(moment, began.get(run, moment))
    if word in began:
        return word
    # By their IDs they would be in the order of a clock that is set back.
    oldest_first = sorted(began, key=lambda run: (began[run], run))
    if word == LAST and began:
        return oldest_first[-1]
    meant = [each for each in oldest_first if word and each.startswith(word)]
    if not meant:
        raise _unknown("run", word, began)
    if len(meant) > 1:
        more = ", …" if len(meant) > _MOST_LISTED else ""
        raise ConfigError(
            f"{word} is the beginning of the IDs of {len(meant)} runs:"
            f" {', '.join(meant[-_MOST_LISTED:])}{more}",
            hint="give more of it",
        )
    return meant[0]


def _cell_of_run(run: str, cell: str, containers: Sequence[ContainerSummary]) -> ContainerSummary:
    own = [each for each in containers if is_cells_own(each)]
    run = _run_meant(run, own)
    of_the_run = [each for each in own if each.labels[RUN] == run]
    cells = {each.labels[CELL] for each in of_the_run}
    if cell not in cells:
        raise _unknown("cell", cell, cells, f" in the run {run}")
    return max((each for each in of_the_run if each.labels[CELL] == cell), key=_precedence)


def _of_cell(cell: str, containers: Sequence[ContainerSummary]) -> list[ContainerSummary]:
    """Return the container of a cell in each run that has one, of those in which it runs if any."""
    own = [each for each in containers if is_cells_own(each) and each.labels[CELL] == cell]
    newest: dict[str, ContainerSummary] = {}
    for each in sorted(own, key=_precedence):
        newest[each.labels[RUN]] = each
    found = list(newest.values())
    return [each for each in found if is_live(each)] or found


def _precedence(container: ContainerSummary) -> tuple[bool, int]:
    attempt = container.labels[ATTEMPT]
    return is_live(container), int(attempt) if attempt.isdecimal() else 0


def _unknown(kind: str, word: str, known: Iterable[str], where: str = "") -> ConfigError:
    return ConfigError(
        f"there is no container of a {kind} {word}{where}{did_you_mean(word, sorted(known))}",
        hint=_GONE,
    )


def _words(containers: Iterable[ContainerSummary]) -> list[str]:
    """Return all that a container can be called by, but its ID."""
    words: dict[str, None] = {}
    for each in containers:
        words.update(dict.fromkeys(each.names))
        if is_cells_own(each):
            words[each.labels[CELL]] = None
    return list(words)
