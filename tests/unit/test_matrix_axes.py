from __future__ import annotations

from typing import Any

import pytest

from barasync.config.load import parse as parse_document
from barasync.config.origin import Origin
from barasync.errors import ConfigError
from barasync.matrix.axes import Expansion, Requested, expand, split_option
from barasync.matrix.platforms import Platform, parse, short_name

NATIVE = Platform("amd64")


def expanded(text: str, *, arch: str = "", config: str = "") -> Expansion:
    requested = Requested(
        native=NATIVE,
        platforms=tuple(parse(name) for name in arch.split(",") if name),
        configs=tuple(name for name in config.split(",") if name),
    )
    return expand(parse_document(text, Origin()), Origin(), requested)


def cells(text: str, **requested: Any) -> dict[str, tuple[int, ...]]:
    """Return the cells in order, each with the include entries laid over it."""
    combinations = expanded(text, **requested).combinations
    named = {
        "-".join(filter(None, (short_name(one.platform), one.config))): one.includes
        for one in combinations
    }
    assert len(named) == len(combinations)
    return named


BOTH = """
[matrix]
arch = ["amd64", "arm64"]
config = ["debug", "release"]
"""


def test_without_a_matrix_there_is_one_native_cell() -> None:
    assert list(cells("")) == ["amd64"]


def test_the_axes_are_multiplied_the_last_one_running_fastest() -> None:
    assert list(cells(BOTH)) == ["amd64-debug", "amd64-release", "arm64-debug", "arm64-release"]


def test_one_axis_alone_is_a_matrix() -> None:
    assert list(cells('[matrix]\narch = ["arm64", "riscv64"]')) == ["arm64", "riscv64"]
    assert list(cells('[matrix]\nconfig = ["b", "a"]')) == ["amd64-b", "amd64-a"]


def test_two_names_of_an_architecture_are_one_value() -> None:
    text = '[matrix]\narch = ["aarch64", "x86_64", "arm64", "linux/arm64/v8"]\nconfig = ["a", "a"]'

    assert list(cells(text)) == ["arm64-a", "amd64-a"]


def test_an_exclude_that_names_one_axis_leaves_out_every_cell_with_that_value() -> None:
    assert list(cells(BOTH + 'exclude = [{ config = "debug" }]')) == [
        "amd64-release",
        "arm64-release",
    ]


def test_an_exclude_that_names_both_axes_leaves_out_one_cell() -> None:
    assert "arm64-release" not in cells(
        BOTH + 'exclude = [{ arch = "aarch64", config = "release" }]'
    )


def test_an_exclude_of_the_native_architecture_holds_without_an_arch_axis() -> None:
    text = '[matrix]\nconfig = ["a", "b"]\nexclude = [{ arch = "amd64", config = "a" }]'

    assert list(cells(text)) == ["amd64-b"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('{ arch = "riscv64" }', "exclude[0].arch: 'riscv64' is not in matrix.arch"),
        ('{ config = "relaese" }', "'relaese' is not in matrix.config; did you mean 'release'?"),
        ('{ arch = "amr64" }', "exclude[0].arch: unknown architecture 'amr64'; did you mean"),
    ],
)
def test_an_exclude_of_a_value_that_the_axis_does_not_have_is_refused(
    entry: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        expanded(BOTH + f"exclude = [{entry}]")

    assert str(caught.value).startswith("barasync.toml: matrix.")
    assert message in str(caught.value)


def test_an_exclude_may_name_a_configuration_that_only_has_a_table() -> None:
    text = BOTH + 'exclude = [{ arch = "arm64", config = "asan" }]\n[config.asan]'

    assert "arm64-asan" not in cells(text, config="asan")
    assert expanded(text).notes == ("barasync.toml: matrix.exclude[0] matches no cell",)


def test_an_exclude_that_matches_nothing_is_noted() -> None:
    text = '[matrix]\nconfig = ["a"]\nexclude = [{ arch = "arm64" }]'

    assert expanded(text).notes == ("barasync.toml: matrix.exclude[0] matches no cell",)


def test_an_exclude_that_the_command_line_made_idle_is_not_noted() -> None:
    text = BOTH + 'exclude = [{ arch = "arm64" }]'

    assert expanded(text, arch="amd64").notes == ()


def test_the_example_of_githubs_documentation_comes_out_as_documented() -> None:
    """Fruit and animal are our axes; colour and shape stand for settings: the entries laid over."""
    text = """
    [matrix]
    arch = ["amd64", "arm64"]
    config = ["cat", "dog"]
    include = [
        { env = { color = "green" } },
        { env = { color = "pink" }, config = "cat" },
        { arch = "amd64", env = { shape = "circle" } },
        { arch = "riscv64" },
        { arch = "riscv64", config = "cat" },
    ]
    """

    assert cells(text) == {
        "amd64-cat": (0, 1, 2),
        "amd64-dog": (0, 2),
        "arm64-cat": (0, 1),
        "arm64-dog": (0,),
        "riscv64": (3,),
        "riscv64-cat": (4,),
    }


def test_an_include_extends_by_any_name_of_the_architecture() -> None:
    assert cells(BOTH + 'include = [{ arch = "x86_64", config = "debug", pids = 9 }]') == {
        "amd64-debug": (0,),
        "amd64-release": (),
        "arm64-debug": (),
        "arm64-release": (),
    }


def test_an_include_brings_back_what_was_excluded() -> None:
    text = BOTH + (
        'exclude = [{ arch = "arm64" }]\ninclude = [{ arch = "arm64", config = "debug" }]'
    )

    assert cells(text) == {"amd64-debug": (), "amd64-release": (), "arm64-debug": (0,)}


def test_an_include_adds_a_value_on_an_axis_that_is_not_declared() -> None:
    arch = '[matrix]\narch = ["amd64", "arm64"]\ninclude = [{ arch = "arm64", config = "asan" }]'
    config = '[matrix]\nconfig = ["a", "b"]\ninclude = [{ arch = "arm64", config = "b" }]'

    assert cells(arch) == {"amd64": (), "arm64-asan": (0,)}
    assert cells(config) == {"amd64-a": (), "arm64-b": (0,)}


def test_an_added_value_may_be_replaced_and_that_is_noted() -> None:
    text = """
    [matrix]
    arch = ["amd64"]
    include = [{ config = "debug" }, { config = "release" }]
    """

    assert cells(text) == {"amd64-release": (0, 1)}
    assert expanded(text).notes == (
        (
            "barasync.toml: matrix.include[1].config replaces that of matrix.include[0]; "
            "to get a cell for each, list them in matrix.config"
        ),
    )


def test_without_axes_the_entries_are_the_matrix() -> None:
    text = """
    [matrix]
    include = [{ config = "a" }, { arch = "arm64" }, { arch = "arm64", config = "a" }, { pids = 9 }]
    """

    assert cells(text) == {"amd64-a": (0,), "arm64": (1,), "arm64-a": (2,), "amd64": (3,)}


def test_two_entries_that_add_the_same_cell_are_refused() -> None:
    text = '[matrix]\ninclude = [{ arch = "amd64", pids = 1 }, { arch = "x86_64", pids = 2 }]'

    with pytest.raises(ConfigError) as caught:
        expanded(text)

    assert str(caught.value) == (
        "barasync.toml: matrix.include[1]: adds the cell that matrix.include[0] adds already"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[matrix]\narch = ["amd64", "amr64"]', "matrix.arch[1]: unknown architecture 'amr64'"),
        ('[[matrix.include]]\narch = "vax"', "matrix.include[0].arch: unknown architecture 'vax'"),
    ],
)
def test_an_unknown_architecture_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expanded(text, arch="arm64")

    assert str(caught.value).startswith(f"barasync.toml: {message}")


def test_the_command_line_replaces_an_axis_and_leaves_the_other() -> None:
    assert list(cells(BOTH, arch="riscv64")) == ["riscv64-debug", "riscv64-release"]
    assert list(cells(BOTH, config="asan")) == ["amd64-asan", "arm64-asan"]
    assert list(cells(BOTH, arch="s390x", config="asan")) == ["s390x-asan"]


def test_excludes_and_includes_of_the_file_apply_to_what_the_command_line_asks_for() -> None:
    text = BOTH + (
        'exclude = [{ arch = "arm64", config = "debug" }]\n'
        'include = [{ arch = "arm64", config = "release", pids = 9 }]'
    )

    assert cells(text, arch="arm64,riscv64") == {
        "arm64-release": (0,),
        "riscv64-debug": (),
        "riscv64-release": (),
    }


def test_an_include_adds_no_cell_outside_what_the_command_line_asks_for() -> None:
    text = BOTH + 'include = [{ arch = "s390x", config = "debug" }, { config = "asan" }]'

    assert list(cells(text, arch="arm64")) == ["arm64-debug", "arm64-release"]
    assert list(cells(text, config="debug")) == ["amd64-debug", "arm64-debug", "s390x-debug"]
    assert list(cells(text, arch="arm64", config="asan")) == ["arm64-asan"]


def test_the_command_line_picks_from_a_matrix_of_entries() -> None:
    text = """
    [matrix]
    include = [
        { arch = "amd64" },
        { arch = "arm64", config = "debug" },
        { arch = "arm64", config = "release" },
    ]
    """

    assert cells(text, arch="arm64") == {"arm64-debug": (1,), "arm64-release": (2,)}
    assert cells(text, config="debug") == {"arm64-debug": (1,)}


def test_what_no_entry_covers_is_a_plain_cell() -> None:
    text = '[matrix]\ninclude = [{ arch = "amd64", pids = 9 }, { arch = "arm64", config = "a" }]'

    assert cells(text, arch="arm64,riscv64") == {"arm64-a": (1,), "riscv64": ()}
    assert cells(text, arch="arm64", config="a,b") == {"arm64-a": (1,), "arm64-b": ()}


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ((), ()),
        (("a,b",), ("a", "b")),
        (("a", "b, c", "a"), ("a", "b", "c")),
    ],
)
def test_an_option_holds_several_names_and_may_be_repeated(
    values: tuple[str, ...], names: tuple[str, ...]
) -> None:
    assert split_option("--arch", values) == names


@pytest.mark.parametrize("value", ["", "a,", ",a", "a,,b", " "])
def test_an_empty_name_in_an_option_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="--arch: there is an empty name in"):
        split_option("--arch", (value,))
