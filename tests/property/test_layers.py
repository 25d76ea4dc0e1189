from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from barasync.config.layers import (
    BUILT_IN,
    Layer,
    command_line_layer,
    environment_layer,
    file_layer,
    fold,
)
from barasync.config.load import parse
from barasync.config.origin import Origin
from barasync.config.schema import CellSettings, CellTable, Document, WorkspaceMode
from barasync.config.structure import check
from barasync.config.values import SETTINGS
from barasync.errors import ConfigError

T = TypeVar("T")

SCALARS = {
    "image": st.sampled_from(["a", "b", "c"]),
    "command": st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2),
    "timeout": st.integers(0, 1000),
    "memory": st.sampled_from(["1g", "512m", 0]),
    "cpus": st.sampled_from([0, 0.5, 2]),
    "pids": st.integers(0, 100),
    "network": st.sampled_from(["none", "bridge"]),
    "workspace": st.sampled_from(WorkspaceMode),
}
ENV = {"env": st.dictionaries(st.sampled_from(["A", "B", "C"]), st.sampled_from(["1", "2"]))}
SEQUENCES = {"artifacts": st.lists(st.sampled_from(["p", "q", "r"]))}


def given_tables(*kinds: dict[str, Any]) -> st.SearchStrategy[CellTable]:
    settings = {name: strategy for kind in kinds for name, strategy in kind.items()}
    return st.fixed_dictionaries({}, optional=settings).map(lambda some: CellTable(**some))


def stacked(tables: list[CellTable]) -> list[Layer]:
    return [file_layer(table, Origin(), "layer", index) for index, table in enumerate(tables)]


@given(st.lists(given_tables(SCALARS, SEQUENCES), max_size=5))
def test_the_highest_layer_of_the_file_that_gives_a_setting_decides_it(
    tables: list[CellTable],
) -> None:
    layers = stacked(tables)
    folded = fold(layers)

    for name in (*SCALARS, *SEQUENCES):
        giving = [index for index, layer in enumerate(layers) if name in layer.values]
        value = getattr(folded.settings, name)
        if giving:
            assert value == layers[giving[-1]].values[name]
            assert folded.provenance[name] == f"barasync.toml: layer[{giving[-1]}].{name}"
        else:
            assert value == getattr(CellSettings(), name)
            assert folded.provenance[name] == BUILT_IN


@given(st.lists(given_tables(ENV), max_size=5))
def test_each_variable_comes_from_the_highest_layer_that_names_it(tables: list[CellTable]) -> None:
    layers = stacked(tables)
    folded = fold(layers)

    named = {name for layer in layers for name in layer.values.get("env", ())}
    assert set(folded.settings.env) == named
    for name in named:
        highest = max(i for i, layer in enumerate(layers) if name in layer.values.get("env", ()))
        assert folded.settings.env[name] == layers[highest].values["env"][name]
        assert folded.provenance[f"env.{name}"] == f"barasync.toml: layer[{highest}].env.{name}"


@given(given_tables(SCALARS, ENV, SEQUENCES), given_tables(SCALARS, ENV, SEQUENCES))
def test_every_setting_has_exactly_one_provenance(below: CellTable, above: CellTable) -> None:
    folded = fold([*stacked([below]), command_line_layer(above)])

    names = {*SETTINGS, *(f"env.{name}" for name in folded.settings.env)} - {"env"}
    assert set(folded.provenance) == names


@given(given_tables(SEQUENCES), given_tables(SEQUENCES))
def test_the_command_line_adds_to_the_artifacts_and_repeats_none(
    below: CellTable, above: CellTable
) -> None:
    folded = fold([*stacked([below]), command_line_layer(above)])

    asked = [
        path
        for table in (below, above)
        if table.artifacts is not msgspec.UNSET
        for path in table.artifacts
    ]
    assert sorted(folded.settings.artifacts) == sorted(set(asked))


def attempted(action: Callable[[], T]) -> T | str:
    """Return what `action` returns, or the message of its configuration error."""
    try:
        return action()
    except ConfigError as error:
        return str(error)


@given(st.dictionaries(st.sampled_from(SETTINGS), st.text(st.characters(exclude_characters="\0"))))
def test_any_environment_is_a_layer_or_a_configuration_error(values: dict[str, str]) -> None:
    environ = {f"BARASYNC_{name.upper()}": text for name, text in values.items()}
    result = attempted(lambda: environment_layer(environ))

    if isinstance(result, str):
        assert result.startswith("BARASYNC_")
    else:
        assert set(result.values) <= set(values)


KEYS = st.one_of(
    st.sampled_from(
        [
            *SETTINGS,
            *Document.__struct_fields__,
            *("arch", "include", "exclude", "bootstrap", "suite", "packages", "release"),
        ]
    ),
    st.text(max_size=5),
)
LEAVES = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["amd64", "2g", "/a:/b", "none", "layer", "debug"]),
    st.dates(),
    st.datetimes(),
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)


def nearly(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what belongs there, now and then anything."""
    return st.integers(0, 9).flatmap(lambda roll: VALUES if roll == 0 else strategy)


def table(
    required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Any]:
    return nearly(
        st.fixed_dictionaries(
            {key: nearly(value) for key, value in required.items()},
            optional={key: nearly(value) for key, value in optional.items()},
        )
    )


NAMES = st.sampled_from(["release", "debug", "a.b", "-"])
ARCHS = st.sampled_from(["amd64", "aarch64", "amr64"])
FILE_SETTINGS = {
    **SCALARS,
    **ENV,
    **SEQUENCES,
    "workspace": st.sampled_from(["layer", "none", "bind"]),
    "volumes": st.lists(st.sampled_from(["/a:/b", "./c:/d:ro", "e"]), max_size=2),
    "secrets": st.lists(st.sampled_from(["A=/a", "B=./b", "A=env:V", "C"]), max_size=2),
}
AXES = {"arch": ARCHS, "config": NAMES}
LIKELY_TABLES = st.fixed_dictionaries(
    {},
    optional={
        "defaults": table({}, FILE_SETTINGS),
        "config": nearly(st.dictionaries(NAMES, table({}, FILE_SETTINGS), max_size=2)),
        "matrix": table(
            {},
            {
                "arch": st.lists(ARCHS, max_size=3),
                "config": st.lists(NAMES, max_size=3),
                "exclude": st.lists(table({}, AXES), max_size=2),
                "include": st.lists(table({}, {**AXES, **FILE_SETTINGS}), max_size=2),
            },
        ),
        "images": nearly(
            st.dictionaries(
                st.sampled_from(["base", "Base"]),
                table({"bootstrap": table({"suite": NAMES}, {"packages": st.lists(NAMES)})}, {}),
                max_size=2,
            )
        ),
    },
)
TABLES = LIKELY_TABLES | st.dictionaries(KEYS, VALUES, max_size=5)


def as_toml(value: object) -> str:
    """Write a value as TOML; tables inline."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{as_toml(k)} = {as_toml(v)}' for k, v in value.items())}}}"
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value)


@given(TABLES)
def test_any_tables_are_a_document_or_a_configuration_error(tables: dict[str, Any]) -> None:
    text = "\n".join(f"{as_toml(key)} = {as_toml(value)}" for key, value in tables.items())
    result = attempted(lambda: parse(text, Origin()))

    if isinstance(result, str):
        assert result.startswith("barasync.toml: ")
        assert "\n" not in result


@given(st.text())
def test_any_text_is_a_document_or_a_configuration_error(text: str) -> None:
    result = attempted(lambda: parse(text, Origin("pyproject.toml", ("tool", "barasync"))))

    assert isinstance(result, Document) or result.startswith("pyproject.toml: ")


@given(TABLES)
def test_what_the_walk_lets_pass_msgspec_converts(tables: dict[str, Any]) -> None:
    kind = msgspec.inspect.type_info(Document)
    if attempted(lambda: check(tables, kind, Origin().key)) is None:
        assert isinstance(msgspec.convert(tables, Document), Document)
