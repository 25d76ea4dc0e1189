from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from barasync.config.load import parse as parse_document
from barasync.config.origin import Origin
from barasync.config.policies import PRESETS
from barasync.config.schema import CellTable, WorkspaceMode
from barasync.errors import ConfigError, NothingSelected
from barasync.matrix.command import expand
from barasync.matrix.listing import COLUMNS, as_data, as_rows
from barasync.matrix.plan import Plan, Request, plan, plan_run
from barasync.matrix.platforms import Platform

NATIVE = Platform("amd64")
IMAGE = CellTable(image="debian")

FILE = """
[defaults]
image = "toolchain"
command = ["make", "{rule}", "{args}"]
timeout = 600
artifacts = ["out"]
env = { A = "1" }

[matrix]
arch = ["amd64", "arm64"]
config = ["debug", "release"]
exclude = [{ arch = "arm64", config = "debug" }]
include = [{ arch = "amd64", config = "release", env = { LTO = "1" } }]

[config.release]
timeout = 900.5
memory = "2g"

[images.toolchain.bootstrap]
suite = "trixie"
"""


def request(text: str | None = None, **fields: Any) -> Request:
    document = None if text is None else parse_document(text, Origin())
    return Request(native=NATIVE, rule="tests", document=document, **fields)


def planned(text: str | None = None, **fields: Any) -> Plan:
    return plan(request(text, **fields))


def ids(made: Plan) -> list[str]:
    return [cell.id for cell in made.cells]


def test_a_file_is_planned_with_each_cell_resolved() -> None:
    made = planned(FILE, args=("-k",))

    assert ids(made) == ["amd64-debug", "amd64-release", "arm64-release"]
    assert made.notes == ()
    debug, release, arm = made.cells
    assert (debug.arch, debug.config, debug.platform) == ("amd64", "debug", Platform("amd64"))
    assert (debug.settings.timeout, release.settings.timeout) == (600, 900.5)
    assert release.settings.env == {"A": "1", "LTO": "1"}
    assert release.provenance["env.LTO"] == "barasync.toml: matrix.include[0].env.LTO"
    assert release.provenance["timeout"] == "barasync.toml: config.release.timeout"
    assert "LTO" not in arm.settings.env


def test_without_a_file_the_options_are_enough() -> None:
    made = planned(arch=("arm64,riscv64",), options=IMAGE)

    assert ids(made) == ["arm64", "riscv64"]
    assert made.cells[0].settings.image == "debian"
    assert made.cells[0].provenance["image"] == "--image"


def test_without_an_architecture_the_native_one_is_planned() -> None:
    assert ids(planned(options=IMAGE)) == ["amd64"]


def test_names_of_one_architecture_on_the_command_line_are_one_cell() -> None:
    assert ids(planned(arch=("aarch64,arm64", "x86_64"), options=IMAGE)) == ["arm64", "amd64"]


def test_the_environment_lies_between_the_file_and_the_command_line() -> None:
    environ = {"BARASYNC_TIMEOUT": "5", "BARASYNC_IMAGE": "x"}
    (cell,) = planned(FILE, select=("amd64-debug",), environ=environ, options=IMAGE).cells

    assert (cell.settings.timeout, cell.settings.image) == (5, "debian")
    assert cell.provenance["timeout"] == "BARASYNC_TIMEOUT"


def test_a_misspelt_variable_is_noted() -> None:
    assert planned(options=IMAGE, environ={"BARASYNC_MEMROY": "1g"}).notes == (
        "BARASYNC_MEMROY sets nothing; did you mean BARASYNC_MEMORY?",
    )


def test_a_cell_without_an_image_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError) as caught:
        planned(arch=("amd64,arm64",))

    assert str(caught.value) == "no image is given for cell amd64 and 1 more"
    assert caught.value.hint == (
        "write `image = …` under [defaults] in barasync.toml, or give --image"
    )


def test_a_single_cell_without_an_image_is_named_alone() -> None:
    with pytest.raises(ConfigError) as caught:
        planned()

    assert str(caught.value) == "no image is given for cell amd64"


def test_the_hint_for_a_missing_image_names_the_declared_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        planned('[images.base.bootstrap]\nsuite = "sid"\n')

    assert caught.value.hint is not None
    assert caught.value.hint.endswith("; barasync.toml declares base")


def test_an_image_nearly_called_like_a_declared_one_is_noted() -> None:
    made = planned(FILE, options=CellTable(image="toolchan"))

    assert made.notes == (
        (
            "image 'toolchan' is not declared in [images] and is taken as a reference; "
            "did you mean 'toolchain'?"
        ),
    )


def test_an_image_with_a_tag_or_a_registry_is_a_reference_without_a_note() -> None:
    for image in ("toolchain:1", "localhost/toolchain"):
        assert planned(FILE, options=CellTable(image=image)).notes == ()


def test_an_empty_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="RULE: the name of the rule is empty"):
        plan(Request(native=NATIVE, options=IMAGE))


def test_a_cell_outside_the_selection_needs_no_image() -> None:
    text = '[matrix]\nconfig = ["a", "b"]\n[config.a]\nimage = "x"'

    assert ids(planned(text, select=("*-a",))) == ["amd64-a"]


def test_selection_and_its_notes_are_part_of_the_plan() -> None:
    made = planned(FILE, select=("amd64-*", "x*"), exclude=("*-debug",))

    assert ids(made) == ["amd64-release"]
    assert made.notes == ("--select 'x*' matches no cell",)


def test_a_matrix_that_leaves_no_cell_selects_nothing() -> None:
    with pytest.raises(NothingSelected, match=r"barasync\.toml: matrix leaves no cell"):
        planned(FILE, arch=("arm64",), config=("debug",))


@pytest.mark.parametrize("name", ["release", "asan"])
def test_a_configuration_on_the_command_line_may_be_any_that_the_file_knows(name: str) -> None:
    text = FILE + "[config.asan]"

    assert f"amd64-{name}" in ids(planned(text, config=(name,)))


def test_a_configuration_of_an_include_is_known_too() -> None:
    text = '[matrix]\ninclude = [{ config = "special" }]'

    assert ids(planned(text, config=("special",), options=IMAGE)) == ["amd64-special"]


def test_an_unknown_configuration_on_the_command_line_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        planned(FILE, config=("relaese",))

    assert str(caught.value) == (
        "--config: barasync.toml has no configuration 'relaese'; did you mean 'release'?"
    )
    assert caught.value.hint == "it has debug, release"


def test_any_configuration_is_taken_where_the_file_declares_none() -> None:
    assert ids(planned(config=("a,b",), options=IMAGE)) == ["amd64-a", "amd64-b"]


def test_a_cache_over_a_volume_is_refused() -> None:
    options = CellTable(image="x", volumes=["/a:/a"], caches=["things:/a/"])

    with pytest.raises(ConfigError, match="--cache: /a has a volume already in cell amd64"):
        plan(Request(rule="tests", native=NATIVE, options=options))


@pytest.mark.parametrize("mode", ["layer", "overlay", "bind"])
@pytest.mark.parametrize(
    ("kind", "mounts"),
    [
        ("cache", {"caches": ["things:/workspace"]}),
        ("volume", {"volumes": ["things:/workspace/"]}),
        ("volume", {"volumes": ["/a:/workspace"]}),
    ],
)
def test_what_hides_the_whole_project_is_refused_unless_the_cell_has_none(
    mode: str, kind: str, mounts: dict[str, list[str]]
) -> None:
    options = CellTable(image="x", workspace=WorkspaceMode(mode), **mounts)  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=f"there is a {kind} at /workspace in cell") as caught:
        planned(options=options)
    assert "--workspace none" in str(caught.value.hint)
    without = CellTable(image="x", workspace=WorkspaceMode.NONE, **mounts)  # type: ignore[arg-type]
    assert len(planned(options=without).cells) == 1


def test_relative_volumes_of_the_options_start_at_the_working_directory() -> None:
    options = CellTable(image="x", volumes=["./a:/a"])
    (cell,) = planned(options=options, directory=PurePath("/home/user")).cells

    assert cell.settings.volumes == ("/home/user/a:/a",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arch": ("amr64",)}, "--arch: unknown architecture 'amr64'; did you mean 'arm64'?"),
        ({"arch": ("amd64,",)}, "--arch: there is an empty name in 'amd64,'"),
        ({"config": ("a b",)}, "--config: 'a b' cannot name a configuration"),
        ({"select": ("{a",)}, "--select '{a': there is a '{' without its '}'"),
        ({"options": CellTable(timeout=-1)}, "--timeout: -1 is not"),
        ({"environ": {"BARASYNC_CPUS": "x"}}, "BARASYNC_CPUS: expected a number, got 'x'"),
    ],
)
def test_a_wrong_option_is_refused_by_its_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(**{"options": IMAGE, **fields})

    assert str(caught.value).startswith(message)


def test_a_command_that_comes_to_no_program_is_refused() -> None:
    text = '[defaults]\nimage = "x"\ncommand = ["{args}"]'

    with pytest.raises(ConfigError) as caught:
        planned(text)

    assert str(caught.value) == (
        "barasync.toml: defaults.command: the command of cell amd64 names no program"
    )
    assert expand(planned(text, args=("ls",)).cells[0], rule="", args=("ls",)) == ("ls",)


def test_an_argument_with_a_nul_character_is_refused() -> None:
    with pytest.raises(ConfigError, match="contains a NUL character"):
        planned(options=IMAGE, args=("a\0",))


def test_arguments_that_reach_no_command_are_noted() -> None:
    text = '[defaults]\nimage = "x"\ncommand = ["make", "{rule}"]'

    assert planned(text, args=("-k", "a b")).notes == (
        "barasync.toml: defaults.command has no {args}, so '-k 'a b'' does not reach it",
    )
    assert planned(text).notes == ()


@pytest.mark.parametrize("path", ["out", "./out", "build/**/*.o"])
def test_a_relative_artifact_needs_a_workspace_to_lie_in(path: str) -> None:
    none = CellTable(artifacts=["/tmp/out", path], workspace=WorkspaceMode.NONE)

    with pytest.raises(ConfigError) as one:
        plan_run(request(options=none), "debian", ["true"])
    with pytest.raises(ConfigError) as many:
        planned(FILE.replace('artifacts = ["out"]', ""), options=none)

    message = f"has no workspace that the artifact '{path}' could lie in"
    assert str(one.value) == f"--artifact: cell amd64 {message}"
    assert str(many.value) == f"--artifact: cell amd64-debug {message}"
    assert one.value.hint == "write the artifact's absolute path, or give --workspace layer"


def test_a_cell_without_a_workspace_among_others_is_told_of_where_its_artifacts_are_from() -> None:
    with pytest.raises(ConfigError) as caught:
        planned(FILE.replace('memory = "2g"', 'workspace = "none"'))

    assert str(caught.value).startswith(
        "barasync.toml: defaults.artifacts: cell amd64-release has no workspace"
    )


def test_an_absolute_artifact_needs_no_workspace() -> None:
    options = CellTable(artifacts=["/tmp/out", "/w/*"], workspace=WorkspaceMode.NONE)

    (cell,) = plan_run(request(options=options), "debian", ["true"]).cells

    assert cell.settings.artifacts == ("/tmp/out", "/w/*")


def test_a_plan_as_data_has_each_value_with_its_source() -> None:
    data = as_data(planned(FILE, args=("-k",), select=("amd64-release",)))

    assert data == {
        "rule": "tests",
        "args": ["-k"],
        "notes": [],
        "cells": [
            {
                "id": "amd64-release",
                "arch": "amd64",
                "platform": "linux/amd64",
                "config": "release",
                "rule": None,
                "repetition": None,
                "image": "toolchain",
                "command": ["make", "tests", "-k"],
                "settings": {
                    "image": {"value": "toolchain", "source": "barasync.toml: defaults.image"},
                    "command": {
                        "value": ["make", "{rule}", "{args}"],
                        "source": "barasync.toml: defaults.command",
                    },
                    "timeout": {"value": 900.5, "source": "barasync.toml: config.release.timeout"},
                    "stop_grace": {"value": 0.0, "source": "built-in"},
                    "memory": {
                        "value": 2 * 1024**3,
                        "source": "barasync.toml: config.release.memory",
                    },
                    "cpus": {"value": None, "source": "built-in"},
                    "pids": {"value": 4096, "source": "built-in"},
                    "network": {"value": "private", "source": "built-in"},
                    "cap_add": {"value": [], "source": "built-in"},
                    "env": {
                        "A": {"value": "1", "source": "barasync.toml: defaults.env.A"},
                        "LTO": {
                            "value": "1",
                            "source": "barasync.toml: matrix.include[0].env.LTO",
                        },
                    },
                    "secrets": {"value": [], "source": "built-in"},
                    "volumes": {"value": [], "source": "built-in"},
                    "caches": {"value": [], "source": "built-in"},
                    "workspace": {"value": "layer", "source": "built-in"},
                    "workdir": {"value": None, "source": "built-in"},
                    "artifacts": {"value": ["out"], "source": "barasync.toml: defaults.artifacts"},
                    "artifacts_on": {"value": "always", "source": "built-in"},
                    "artifacts_size": {"value": 16 * 1024**3, "source": "built-in"},
                    "artifacts_files": {"value": 500_000, "source": "built-in"},
                    "artifacts_timeout": {"value": 600.0, "source": "built-in"},
                    "retries": {"value": 0, "source": "built-in"},
                    "retry_on": {"value": ["infra"], "source": "built-in"},
                    "services": {"value": [], "source": "built-in"},
                },
                "policy": PRESETS["private"].as_data(),
            }
        ],
    }
    assert type(data["cells"][0]["settings"]["workspace"]["value"]) is str


def test_a_plan_as_data_has_no_policy_for_networks_without_rules() -> None:
    data = as_data(planned(f'{FILE}\n[config.debug]\nnetwork = "none"\n'))

    policies = {cell["config"]: cell["policy"] for cell in data["cells"]}
    assert policies["debug"] is None


def test_a_plan_as_rows_has_a_column_for_each_heading() -> None:
    rows = as_rows(planned(FILE, args=("a b",)))

    assert [len(row) for row in rows] == [len(COLUMNS)] * 3
    assert rows[0] == (
        "amd64-debug",
        "linux/amd64",
        "toolchain",
        "600s",
        "-",
        "-",
        "private",
        "layer",
        "make tests 'a b'",
    )
    assert rows[1][3:6] == ("900.5s", "2 GiB", "-")


def test_a_row_shows_limits_that_were_lifted_and_the_projects_own_bar() -> None:
    options = CellTable(image="x", timeout=0, cpus=0.5)
    (row,) = as_rows(planned(options=options), has_bar=True)

    assert row[3:] == ("-", "-", "0.5", "private", "layer", "./bar tests")
