from __future__ import annotations

from pathlib import PurePath

import pytest

from barasync.config.origin import Origin, dotted
from barasync.config.spelling import closest, did_you_mean


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        (("defaults", "timeout"), "defaults.timeout"),
        (("matrix", "include", 0, "timeout"), "matrix.include[0].timeout"),
        (("config", "a.b", "env", "X"), 'config."a.b".env.X'),
        (("config", ""), 'config.""'),
        (("config", 'a"b\\c'), 'config."a\\"b\\\\c"'),
        (("config", "a\x1b[31m\n"), 'config."a\\x1b[31m\\n"'),
        (("config", "größe"), 'config."größe"'),
    ],
)
def test_a_key_path_reads_as_in_toml(keys: tuple[str | int, ...], path: str) -> None:
    assert dotted(*keys) == path


def test_a_place_begins_with_the_name_of_the_file() -> None:
    origin = Origin.of(PurePath("/project/barasync.toml"))

    assert origin.key("config", "release") == "barasync.toml: config.release"
    assert origin.key() == "barasync.toml"


def test_a_place_in_a_pyproject_names_the_whole_table() -> None:
    origin = Origin.of(PurePath("/project/pyproject.toml"))

    assert origin.key("matrix") == "pyproject.toml: tool.barasync.matrix"
    assert origin.key() == "pyproject.toml: tool.barasync"


def test_relative_paths_start_at_the_folder_of_the_file_where_that_is_known() -> None:
    assert Origin.of(PurePath("/project/barasync.toml")).directory == PurePath("/project")
    assert Origin.of(PurePath("barasync.toml")).directory is None


def test_letters_in_the_wrong_order_are_preferred_to_a_wrong_letter() -> None:
    assert closest("amr64", ["amd64", "arm64"]) == "arm64"
    assert closest("adm64", ["amd64", "arm64"]) == "amd64"


def test_a_word_like_none_of_the_known_has_no_suggestion() -> None:
    assert closest("colour", ["amd64", "arm64"]) is None
    assert did_you_mean("colour", ["amd64", "arm64"]) == ""


def test_a_suggestion_ends_a_sentence() -> None:
    assert did_you_mean("tiemout", ["timeout", "image"]) == "; did you mean 'timeout'?"
