from __future__ import annotations

from pathlib import PurePath

import pytest

from barasync.config.layers import (
    BUILT_IN,
    command_line_layer,
    environment_layer,
    environment_notes,
    file_layer,
    fold,
)
from barasync.config.origin import Origin
from barasync.config.schema import ArtifactsOn, CellSettings, CellTable, WorkspaceMode
from barasync.errors import ConfigError

ORIGIN = Origin()


def test_without_a_layer_everything_is_built_in() -> None:
    folded = fold([])

    assert folded.settings == CellSettings()
    assert set(folded.provenance.values()) == {BUILT_IN}


def test_the_highest_layer_that_gives_a_setting_decides_it() -> None:
    folded = fold(
        [
            file_layer(CellTable(timeout=1, image="a", cpus=1), ORIGIN, "defaults"),
            file_layer(CellTable(timeout=2, memory="1g"), ORIGIN, "config", "release"),
            file_layer(CellTable(timeout=3, pids=9), ORIGIN, "matrix", "include", 0),
            environment_layer({"BARASYNC_TIMEOUT": "4", "BARASYNC_CPUS": "0.5"}),
            command_line_layer(CellTable(timeout=5)),
        ]
    )

    assert folded.settings.timeout == 5
    assert folded.settings.cpus == 0.5
    assert {name: folded.provenance[name] for name in ("timeout", "cpus", "pids", "memory")} == {
        "timeout": "--timeout",
        "cpus": "BARASYNC_CPUS",
        "pids": "barasync.toml: matrix.include[0].pids",
        "memory": "barasync.toml: config.release.memory",
    }
    assert folded.provenance["image"] == "barasync.toml: defaults.image"
    assert folded.provenance["network"] == BUILT_IN


def test_no_limit_in_a_higher_layer_lifts_one_below() -> None:
    folded = fold(
        [
            file_layer(CellTable(timeout=600), ORIGIN, "defaults"),
            command_line_layer(CellTable(timeout=0)),
        ]
    )

    assert folded.settings.timeout is None
    assert folded.provenance["timeout"] == "--timeout"


def test_a_command_replaces_the_whole_command_below() -> None:
    folded = fold(
        [
            file_layer(CellTable(command=["make", "-k"]), ORIGIN, "defaults"),
            file_layer(CellTable(command=["ninja"]), ORIGIN, "config", "a"),
        ]
    )

    assert folded.settings.command == ("ninja",)


def test_env_is_merged_by_name_with_a_provenance_for_each() -> None:
    folded = fold(
        [
            file_layer(CellTable(env={"A": "1", "B": "1"}), ORIGIN, "defaults"),
            file_layer(CellTable(env={"B": "2", "x.y": "2"}), ORIGIN, "config", "release"),
            command_line_layer(CellTable(env={"C": "3"})),
        ]
    )

    assert folded.settings.env == {"A": "1", "B": "2", "x.y": "2", "C": "3"}
    assert {key: place for key, place in folded.provenance.items() if key.startswith("env")} == {
        "env.A": "barasync.toml: defaults.env.A",
        "env.B": "barasync.toml: config.release.env.B",
        "env.x.y": 'barasync.toml: config.release.env."x.y"',
        "env.C": "--env",
    }


def test_sequences_of_the_file_replace_and_those_of_the_command_line_are_added() -> None:
    folded = fold(
        [
            file_layer(CellTable(artifacts=["a"], volumes=["/a:/a"]), ORIGIN, "defaults"),
            file_layer(CellTable(artifacts=["b", "c"]), ORIGIN, "config", "release"),
            command_line_layer(CellTable(artifacts=["c", "d"], volumes=["/b:/b"])),
        ]
    )

    assert folded.settings.artifacts == ("b", "c", "d")
    assert folded.provenance["artifacts"] == "barasync.toml: config.release.artifacts, --artifact"
    assert folded.settings.volumes == ("/a:/a", "/b:/b")
    assert folded.provenance["volumes"] == "barasync.toml: defaults.volumes, --volume"


def test_a_capability_of_the_command_line_is_added_once() -> None:
    folded = fold(
        [
            file_layer(CellTable(cap_add=["NET_RAW", "KILL"]), ORIGIN, "defaults"),
            command_line_layer(CellTable(cap_add=["cap_kill", "MKNOD"])),
        ]
    )

    assert folded.settings.cap_add == ("NET_RAW", "KILL", "MKNOD")
    assert folded.provenance["cap_add"] == "barasync.toml: defaults.cap_add, --cap-add"


def test_secrets_of_the_command_line_add_to_the_files_or_take_their_place() -> None:
    folded = fold(
        [
            file_layer(CellTable(secrets=["A=/a", "B=/b"]), ORIGIN, "defaults"),
            command_line_layer(CellTable(secrets=["B=env:B", "C=c"]), PurePath("/here")),
        ]
    )

    assert folded.settings.secrets == ("A=/a", "B=env:B", "C=/here/c")
    assert folded.provenance["secrets"] == "barasync.toml: defaults.secrets, --secret"


def test_a_relative_path_of_a_secret_in_a_file_starts_at_the_file() -> None:
    origin = Origin(directory=PurePath("/project"))
    layer = file_layer(CellTable(secrets=["A=../a", "B=env:x"]), origin, "defaults")

    assert layer.values["secrets"] == ("A=/a", "B=env:x")
    with pytest.raises(ConfigError, match=r"secrets\[0\]: secret A: a relative path has no folder"):
        file_layer(CellTable(secrets=["A=a"]), ORIGIN, "defaults")


def test_a_variable_is_not_given_as_a_secret_and_openly() -> None:
    layers = [
        file_layer(CellTable(env={"TOKEN": "x", "KEY": "y"}), ORIGIN, "defaults"),
        command_line_layer(CellTable(secrets=["KEY=/key", "TOKEN=env:T"])),
    ]

    with pytest.raises(
        ConfigError,
        match=r"^--secret: the variable TOKEN is set at barasync\.toml: defaults\.env\.TOKEN as",
    ):
        fold(layers)


def test_a_volume_of_the_command_line_takes_the_place_of_one_with_its_destination() -> None:
    folded = fold(
        [
            file_layer(CellTable(volumes=["/a:/data"]), ORIGIN, "defaults"),
            command_line_layer(CellTable(volumes=["/b:/data/:ro"])),
        ]
    )

    assert folded.settings.volumes == ("/b:/data/:ro",)
    assert folded.provenance["volumes"] == "--volume"


def test_a_cache_of_the_command_line_takes_the_place_of_one_with_its_destination_or_name() -> None:
    folded = fold(
        [
            file_layer(CellTable(caches=["a:/a", "b:/b", "c:/c"]), ORIGIN, "defaults"),
            command_line_layer(CellTable(caches=["x:/a/:cow", "b:/elsewhere"])),
        ]
    )

    assert folded.settings.caches == ("c:/c", "x:/a/:cow", "b:/elsewhere")
    assert folded.provenance["caches"] == "barasync.toml: defaults.caches, --cache"


def test_a_relative_source_starts_at_the_folder_of_its_file_or_at_the_working_directory() -> None:
    origin = Origin.of(PurePath("/project/barasync.toml"))
    folded = fold(
        [
            file_layer(CellTable(volumes=["./a:/a:ro", "cache:/c"]), origin, "defaults"),
            command_line_layer(CellTable(volumes=["../b:/b"]), PurePath("/project/deep")),
        ]
    )

    assert folded.settings.volumes == ("/project/a:/a:ro", "cache:/c", "/project/b:/b")


def test_a_relative_source_without_a_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"defaults\.volumes\[1\]: '\./a:/a': a relative source"):
        file_layer(CellTable(volumes=["/b:/b", "./a:/a"]), ORIGIN, "defaults")


def test_the_environment_gives_the_settings_that_a_variable_can_hold() -> None:
    layer = environment_layer(
        {
            "BARASYNC_IMAGE": "a:b",
            "BARASYNC_TIMEOUT": "1.5",
            "BARASYNC_MEMORY": "2g",
            "BARASYNC_CPUS": "2",
            "BARASYNC_PIDS": "0",
            "BARASYNC_NETWORK": "bridge",
            "BARASYNC_WORKSPACE": "none",
            "BARASYNC_WORKDIR": "/srv",
            "BARASYNC_ARTIFACTS_ON": "failed",
            "BARASYNC_ARTIFACTS_SIZE": "1g",
            "BARASYNC_ARTIFACTS_FILES": "10",
            "BARASYNC_ARTIFACTS_TIMEOUT": "9.5",
            "BARASYNC_CELL": "amd64",
            "PATH": "/bin",
        }
    )

    assert layer.values == {
        "image": "a:b",
        "timeout": 1.5,
        "memory": 2 * 1024**3,
        "cpus": 2.0,
        "pids": None,
        "network": "bridge",
        "workspace": WorkspaceMode.NONE,
        "workdir": "/srv",
        "artifacts_on": ArtifactsOn.FAILED,
        "artifacts_size": 1024**3,
        "artifacts_files": 10,
        "artifacts_timeout": 9.5,
    }


def test_an_empty_variable_counts_as_none() -> None:
    assert environment_layer({"BARASYNC_TIMEOUT": "", "BARASYNC_IMAGE": ""}).values == {}


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("BARASYNC_TIMEOUT", "ten", "expected a number, got 'ten'"),
        ("BARASYNC_TIMEOUT", "nan", "expected a number, got 'nan'"),
        ("BARASYNC_TIMEOUT", "-1", "expected a number, got '-1'"),
        ("BARASYNC_CPUS", "1e3", "expected a number, got '1e3'"),
        ("BARASYNC_CPUS", "9999999", "9999999 is not a number of cores"),
        ("BARASYNC_PIDS", "1.5", "expected an integer, got '1.5'"),
        ("BARASYNC_ARTIFACTS_ON", "never", "expected one of always, passed, failed, got 'never'"),
        ("BARASYNC_PIDS", "٣", "expected an integer"),
        ("BARASYNC_PIDS", "9" * 5000, "expected an integer"),
        ("BARASYNC_PIDS", "9" * 12, "999999999999 is not a number of processes"),
        ("BARASYNC_MEMORY", "x", "'x' is not a size"),
        ("BARASYNC_WORKSPACE", "copy", "expected one of layer, overlay, bind, none"),
        ("BARASYNC_IMAGE", " ", "' ' is neither"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        environment_layer({variable: text})

    assert str(caught.value).startswith(f"{variable}: {message}")


def test_a_misspelt_variable_is_noted_and_the_others_are_not() -> None:
    notes = environment_notes(
        {
            "BARASYNC_TIMEOT": "1",
            "BARASYNC_TIMEOUT": "1",
            "BARASYNC_RUN": "r",
            "BARASYNC_CELL": "c",
            "BARASYNC_ARCH": "a",
            "BARASYNC_CONFIG": "",
            "BARASYNC_REPEAT": "2",
            "TIMEOT": "1",
        }
    )

    assert notes == ("BARASYNC_TIMEOT sets nothing; did you mean BARASYNC_TIMEOUT?",)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (CellTable(timeout=-1), "--timeout: -1 is not"),
        (CellTable(memory="x"), "--memory: 'x' is not a size"),
        (CellTable(volumes=["x"]), "--volume: 'x' is not a volume"),
        (CellTable(caches=["x"]), "--cache: 'x' is not a cache"),
        (CellTable(caches=["a:/c", "b:/c/"]), "--cache: /c has a cache already"),
        (CellTable(caches=["a:/c", "a:/d"]), "--cache: the cache 'a' is named twice"),
        (CellTable(artifacts=[""]), "--artifact: the path is empty"),
        (CellTable(env={"": "x"}), "--env: '' cannot name"),
    ],
)
def test_a_wrong_option_is_named_as_it_is_typed(table: CellTable, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        command_line_layer(table)

    assert str(caught.value).startswith(message)


def test_a_positional_argument_can_be_named_instead_of_an_option() -> None:
    layer = command_line_layer(CellTable(image="a"), names={"image": "IMAGE"})

    assert fold([layer]).provenance["image"] == "IMAGE"


def test_folded_settings_cannot_be_changed() -> None:
    folded = fold([file_layer(CellTable(env={"A": "1"}), ORIGIN, "defaults")])

    with pytest.raises(TypeError):
        folded.settings.env["A"] = "2"  # type: ignore[index]  # that it cannot is the test
