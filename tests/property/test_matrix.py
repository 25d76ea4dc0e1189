from __future__ import annotations

import time
from dataclasses import replace
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from barasync.config.origin import Origin
from barasync.config.schema import (
    CellTable,
    Document,
    ExcludeTable,
    IncludeTable,
    MatrixTable,
)
from barasync.errors import ConfigError, NothingSelected
from barasync.matrix.axes import Combination, Requested, expand
from barasync.matrix.plan import Plan, Request, plan
from barasync.matrix.platforms import ARCHITECTURES, Platform, parse

NATIVE = Platform("amd64")
ARCHS = ("amd64", "arm64", "riscv64", "armv7")
CONFIGS = ("debug", "release", "asan", "1-2.3_x")
ALIASES = st.sampled_from([name for row in ARCHITECTURES for name in row.names()])

archs = st.lists(st.sampled_from(ARCHS), max_size=4)
configs = st.lists(st.sampled_from(CONFIGS), max_size=4)


@st.composite
def matrices(draw: st.DrawFn) -> MatrixTable:
    """A matrix whose excludes name values of its axes, and whose includes name any value."""
    arch, config = draw(archs), draw(configs)
    excludes = st.one_of(
        *([st.builds(ExcludeTable, arch=st.sampled_from(arch))] if arch else []),
        *([st.builds(ExcludeTable, config=st.sampled_from(config))] if config else []),
        *(
            [st.builds(ExcludeTable, arch=st.sampled_from(arch), config=st.sampled_from(config))]
            if arch and config
            else []
        ),
    )
    includes = st.one_of(
        st.builds(IncludeTable, arch=st.sampled_from(ARCHS)),
        st.builds(IncludeTable, config=st.sampled_from(CONFIGS)),
        st.builds(IncludeTable, arch=st.sampled_from(ARCHS), config=st.sampled_from(CONFIGS)),
        st.builds(IncludeTable, timeout=st.integers(1, 9)),
    )
    return MatrixTable(
        arch=arch,
        config=config,
        exclude=draw(st.lists(excludes, max_size=3)) if arch or config else [],
        include=draw(st.lists(includes, max_size=5)),
    )


def planned(
    matrix: MatrixTable,
    *,
    arch: tuple[str, ...] = (),
    config: tuple[str, ...] = (),
    select: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    repeat: int | None = None,
) -> Plan | None:
    """Return the plan, or `None` where the matrix is refused or leaves nothing."""
    request = Request(
        native=NATIVE,
        rule="r",
        document=Document(matrix=matrix, defaults=CellTable(image="x")),
        arch=arch,
        config=config,
        select=select,
        exclude=exclude,
        repeat=repeat,
    )
    try:
        return plan(request)
    except (ConfigError, NothingSelected):
        return None


def expanded(matrix: MatrixTable) -> tuple[Combination, ...] | None:
    """Return the combinations, or `None` where two entries add the same cell."""
    try:
        document = Document(matrix=matrix)
        return expand(document, Origin(), Requested(native=NATIVE)).combinations
    except ConfigError:
        return None


@given(matrices())
def test_the_matrix_has_its_product_less_what_is_excluded_plus_what_is_added(
    matrix: MatrixTable,
) -> None:
    combinations = expanded(matrix)
    if combinations is None:
        return
    archs_once, configs_once = dict.fromkeys(matrix.arch), dict.fromkeys(matrix.config)
    has_axes = bool(archs_once or configs_once)
    axes = list(product(archs_once or [None], configs_once or [None])) if has_axes else []

    def contradicts(
        entry: ExcludeTable | IncludeTable, pair: tuple[str | None, str | None]
    ) -> bool:
        """Tell whether an entry names another value than the pair has on a declared axis."""
        return any(
            declared and isinstance(named, str) and named != value
            for declared, named, value in zip(
                (matrix.arch, matrix.config), (entry.arch, entry.config), pair, strict=True
            )
        )

    left = [pair for pair in axes if all(contradicts(entry, pair) for entry in matrix.exclude)]
    added = [entry for entry in matrix.include if all(contradicts(entry, pair) for pair in left)]
    expected = len(left) + len(added) if has_axes or matrix.include else 1

    assert len(combinations) == expected


@given(matrices())
def test_ids_are_unique_and_read_back_as_architecture_and_configuration(
    matrix: MatrixTable,
) -> None:
    made = planned(matrix)
    if made is None:
        return
    ids = [cell.id for cell in made.cells]

    assert len(set(ids)) == len(ids)
    for cell in made.cells:
        arch, hyphen, config = cell.id.partition("-")
        assert parse(arch) == cell.platform
        assert (config if hyphen else None) == cell.config


@given(matrices())
def test_each_cell_selected_by_its_id_is_planned_alone_and_unchanged(matrix: MatrixTable) -> None:
    made = planned(matrix)
    if made is None:
        return
    for cell in made.cells:
        alone = planned(matrix, select=(cell.id,))
        assert alone is not None
        assert alone.cells == (cell,)


@given(matrices(), archs, configs)
def test_no_cell_lies_outside_what_the_command_line_asks_for(
    matrix: MatrixTable, arch: list[str], config: list[str]
) -> None:
    known = {*matrix.config, *(e.config for e in matrix.include if isinstance(e.config, str))}
    wanted = [name for name in config if name in known]
    made = planned(matrix, arch=tuple(arch), config=tuple(wanted))
    if made is None:
        return

    assert all(not arch or cell.arch in arch for cell in made.cells)
    assert all(not wanted or cell.config in wanted for cell in made.cells)


@given(matrices(), st.integers(1, 5))
def test_a_repeated_cell_is_the_cell_so_many_times(matrix: MatrixTable, times: int) -> None:
    once, repeated = planned(matrix), planned(matrix, repeat=times)
    assert (once is None) == (repeated is None)
    if once is None or repeated is None:
        return

    assert repeated.cells == tuple(
        replace(cell, id=f"{cell.id}-{number}", repetition=number)
        for cell in once.cells
        for number in range(1, times + 1)
    )
    assert len({cell.id for cell in repeated.cells}) == len(repeated.cells)
    assert {cell.matrix_id for cell in repeated.cells} == {cell.id for cell in once.cells}


@given(st.lists(ALIASES, min_size=1))
def test_a_list_of_names_has_one_cell_for_each_platform(names: list[str]) -> None:
    made = planned(MatrixTable(), arch=tuple(names))

    assert made is not None
    assert [cell.platform for cell in made.cells] == list(
        dict.fromkeys(parse(name) for name in names)
    )


def test_five_thousand_cells_are_planned_in_a_second() -> None:
    matrix = MatrixTable(
        arch=["amd64", "arm64"],
        config=[f"c{number}" for number in range(2500)],
        exclude=[ExcludeTable(arch="arm64", config=f"c{number}") for number in range(10)],
        include=[IncludeTable(config=f"c{number}", pids=number + 1) for number in range(20)],
    )
    started = time.process_time()
    made = planned(matrix, select=("a*",), exclude=("arm64-c99?",))
    took = time.process_time() - started

    assert made is not None
    assert len(made.cells) == 5000 - 10 - 10
    assert took < 1
