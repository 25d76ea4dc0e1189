"""The combinations of a matrix: the product of its axes, less `exclude`, more `include`.

The rules are those of GitHub's `jobs.<id>.strategy.matrix`, with the axes `arch` and `config`:

1. The product of the axes is made. `exclude` then removes every combination that has all the values
   an entry names.
2. Each `include` entry is laid over every combination left of the product whose axis values it does
   not contradict; what it names on an axis that the file does not declare is added, and a later
   entry may replace that. Its settings become a layer of the cell's settings.
3. An entry that fits no combination becomes one of its own, so `include` can bring back what
   `exclude` took. Later entries are not laid over such a combination.
4. Without any axis the entries themselves are the matrix.

A combination without an architecture runs on the native one. What differs from GitHub: the names of
an architecture are one value (`x86_64` is `amd64`); an `exclude` that names a value which the axis
does not have is an error; one that matches nothing is noted.

Architectures and configurations on the command line replace the axis of the file. `exclude` and
`include` apply as before, except that an entry does not add a combination outside what was asked
for: `--arch arm64` never runs a cell of amd64. In a matrix of entries only, the entries within what
was asked for run, and what was asked for and no entry covers is a plain combination.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

from msgspec import UNSET

from barasync.config.origin import Origin
from barasync.config.schema import Document, ExcludeTable, IncludeTable
from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError
from barasync.matrix.cells import cell_id
from barasync.matrix.platforms import Platform, parse, short_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """A cell to be: `includes` are the entries of `matrix.include` laid over it, in order.

    `rule` and `repetition` are for `matrix.cells.Cell`; only the command line has those axes.
    """

    platform: Platform
    config: str | None
    includes: tuple[int, ...] = ()
    rule: str | None = None
    repetition: int | None = None

    @property
    def id(self) -> str:
        """The id of the cell."""
        return cell_id(short_name(self.platform), self.config, self.rule, self.repetition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """What replaces the axes of the file: empty where the command line is silent."""

    native: Platform
    platforms: tuple[Platform, ...] = ()
    configs: tuple[str, ...] = ()

    def admits(self, combination: Combination) -> bool:
        """Tell whether a combination lies within what the command line asked for."""
        return (not self.platforms or combination.platform in self.platforms) and (
            not self.configs or combination.config in self.configs
        )


@dataclass(frozen=True, slots=True)
class Expansion:
    """The combinations, those of the axes first, then the added ones; and what to tell a person."""

    combinations: tuple[Combination, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of `exclude` or `include`; `None` where it does not name an axis."""

    index: int
    platform: Platform | None
    config: str | None

    def excludes(self, combination: Combination) -> bool:
        return self.platform in {None, combination.platform} and self.config in {
            None,
            combination.config,
        }

    def value(self, axis: str) -> Platform | str | None:
        return self.platform if axis == "arch" else self.config

    def combination(self, native: Platform) -> Combination:
        return Combination(
            platform=self.platform or native, config=self.config, includes=(self.index,)
        )


@dataclass(frozen=True, slots=True)
class _Axes:
    """The axes in force; empty where neither file nor command line declares one."""

    platforms: tuple[Platform, ...]
    configs: tuple[str, ...]

    def fits(self, entry: _Entry, combination: Combination) -> bool:
        """Tell whether an entry overwrites no value that the axes gave the combination."""
        return (not self.platforms or entry.platform in {None, combination.platform}) and (
            not self.configs or entry.config in {None, combination.config}
        )


def expand(document: Document, origin: Origin, requested: Requested) -> Expansion:
    """Return the combinations of the matrix in `document`, as `requested` changes it.

    Raises:
        ConfigError: the file names an unknown architecture, an entry of `exclude` a value that its
            axis does not have, or two entries of `include` add the same cell.
    """
    matrix = document.matrix
    declared = _Axes(
        _platforms(matrix.arch, origin, "matrix", "arch"), tuple(dict.fromkeys(matrix.config))
    )
    excludes = _entries(matrix.exclude, origin, "exclude")
    includes = _entries(matrix.include, origin, "include")
    _check_excludes(excludes, declared, document, origin)
    axes = _Axes(requested.platforms or declared.platforms, requested.configs or declared.configs)
    base = [
        Combination(platform=platform, config=config)
        for platform, config in product(
            axes.platforms or (requested.native,), axes.configs or (None,)
        )
    ]
    kept = [one for one in base if not any(entry.excludes(one) for entry in excludes)]
    notes = [] if axes != declared else _idle_excludes(excludes, base, origin)
    if includes and not (declared.platforms or declared.configs):
        combinations = _entries_as_cells(includes, kept, axes, requested)
    else:
        combinations = _lay_over(includes, kept, axes, requested)
        notes += _replaced_values(includes, combinations, axes, origin)
    _refuse_twins(combinations, origin)
    return Expansion(tuple(combinations), tuple(notes))


def split_option(option: str, values: Iterable[str]) -> tuple[str, ...]:
    """Return the names in repeated options that each may hold several: `a,b`.

    Raises:
        ConfigError: a name is empty.
    """
    names: list[str] = []
    for value in values:
        parts = [part.strip() for part in value.split(",")]
        if "" in parts:
            raise ConfigError(f"{option}: there is an empty name in '{value}'")
        names.extend(parts)
    return tuple(dict.fromkeys(names))


def _platforms(names: Sequence[str], origin: Origin, *keys: str) -> tuple[Platform, ...]:
    parsed = (parse(name, origin.key(*keys, index)) for index, name in enumerate(names))
    return tuple(dict.fromkeys(parsed))


def _entries(
    tables: Sequence[ExcludeTable | IncludeTable], origin: Origin, key: str
) -> list[_Entry]:
    return [
        _Entry(
            index,
            None
            if table.arch is UNSET
            else parse(table.arch, origin.key("matrix", key, index, "arch")),
            None if table.config is UNSET else table.config,
        )
        for index, table in enumerate(tables)
    ]


def _check_excludes(
    excludes: Iterable[_Entry], declared: _Axes, document: Document, origin: Origin
) -> None:
    """Refuse values that the file's axes do not have: such an entry was meant to do something.

    A configuration that only has a table is known as well: `--config` may ask for it. Where the
    file does not declare an axis, the command line may give any value.
    """
    archs = [short_name(platform) for platform in declared.platforms]
    configs = [*declared.configs, *document.config]
    for entry in excludes:
        if declared.platforms and entry.platform not in {None, *declared.platforms}:
            assert entry.platform is not None
            _not_on_axis(short_name(entry.platform), archs, origin, entry.index, "arch")
        if configs and entry.config is not None and entry.config not in configs:
            _not_on_axis(entry.config, configs, origin, entry.index, "config")


def _not_on_axis(value: str, known: list[str], origin: Origin, index: int, axis: str) -> None:
    where = origin.key("matrix", "exclude", index, axis)
    raise ConfigError(
        f"{where}: '{value}' is not in matrix.{axis}{did_you_mean(value, known)}",
        hint=f"known: {', '.join(known)}",
    )


def _idle_excludes(
    excludes: Iterable[_Entry], base: Sequence[Combination], origin: Origin
) -> list[str]:
    return [
        f"{origin.key('matrix', 'exclude', entry.index)} matches no cell"
        for entry in excludes
        if not any(entry.excludes(one) for one in base)
    ]


def _lay_over(
    includes: Iterable[_Entry], kept: Sequence[Combination], axes: _Axes, requested: Requested
) -> list[Combination]:
    extended = list(kept)
    added: list[Combination] = []
    for entry in includes:
        fitting = [index for index, one in enumerate(extended) if axes.fits(entry, one)]
        for index in fitting:
            one = extended[index]
            extended[index] = replace(
                one,
                platform=entry.platform or one.platform,
                config=one.config if entry.config is None else entry.config,
                includes=(*one.includes, entry.index),
            )
        alone = entry.combination(requested.native)
        if not fitting and requested.admits(alone):
            added.append(alone)
    return extended + added


def _entries_as_cells(
    includes: Iterable[_Entry], kept: Sequence[Combination], axes: _Axes, requested: Requested
) -> list[Combination]:
    """Return the combinations of a matrix without axes; `kept` is what the command line gives."""
    alone = (entry.combination(requested.native) for entry in includes)
    cells = [one for one in alone if requested.admits(one)]
    if not (axes.platforms or axes.configs):
        return cells

    def covered(wanted: Combination) -> bool:
        return any(
            (not axes.platforms or one.platform == wanted.platform)
            and (not axes.configs or one.config == wanted.config)
            for one in cells
        )

    return cells + [wanted for wanted in kept if not covered(wanted)]


def _replaced_values(
    includes: Sequence[_Entry], combinations: Iterable[Combination], axes: _Axes, origin: Origin
) -> list[str]:
    """Note where a later entry replaced what an earlier one had added on an undeclared axis.

    That is GitHub's rule, and rarely what was meant: two entries that each add a configuration to
    the same combination leave one cell, not two.
    """
    notes: dict[str, None] = {}
    undeclared = [
        axis for axis, values in (("arch", axes.platforms), ("config", axes.configs)) if not values
    ]
    for one, axis in product(combinations, undeclared):
        laid = [includes[index] for index in one.includes]
        naming = [entry for entry in laid if entry.value(axis) is not None]
        for earlier, later in pairwise(naming):
            if earlier.value(axis) != later.value(axis):
                where = origin.key("matrix", "include", later.index, axis)
                notes[
                    f"{where} replaces that of matrix.include[{earlier.index}]; "
                    f"to get a cell for each, list them in matrix.{axis}"
                ] = None
    return list(notes)


def _refuse_twins(combinations: Iterable[Combination], origin: Origin) -> None:
    seen: dict[tuple[Platform, str | None], Combination] = {}
    for one in combinations:
        twin = seen.setdefault((one.platform, one.config), one)
        if twin is not one:
            where = origin.key("matrix", "include", one.includes[0])
            raise ConfigError(
                f"{where}: adds the cell that matrix.include[{twin.includes[0]}] adds already",
                hint="put the settings of both into one entry",
            )
