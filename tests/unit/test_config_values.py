from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import pytest

from barasync.config.origin import Origin
from barasync.config.schema import ArtifactsOn, CellSettings, CellTable, WorkspaceMode
from barasync.config.values import (
    CELL_VARIABLES,
    SETTINGS,
    check_config_name,
    check_image_name,
    parse_settings,
)
from barasync.errors import ConfigError

PLACE = partial(Origin().key, "defaults")


def parsed(**settings: Any) -> dict[str, Any]:
    return parse_settings(CellTable(**settings), PLACE)


def problem(**settings: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parsed(**settings)
    return caught.value


def test_tables_and_folded_settings_name_the_same_settings() -> None:
    assert tuple(field.name for field in dataclasses.fields(CellSettings)) == SETTINGS


def test_a_silent_table_gives_nothing() -> None:
    assert parsed() == {}


def test_every_setting_is_parsed_into_the_type_of_the_folded_settings() -> None:
    assert parsed(
        image="toolchain",
        command=["make", ""],
        timeout=90,
        memory="2g",
        cpus=2,
        pids=100,
        network="bridge",
        cap_add=["cap_net_raw", "SYS_PTRACE", "NET_RAW"],
        env={"A": "", "b.c": "d"},
        secrets=["KEY=./key", "TOKEN=env:CI_TOKEN"],
        volumes=["./a:/a"],
        workspace=WorkspaceMode.NONE,
        workdir="//usr/../tmp/a b/.",
        artifacts=["out", "/tmp/x", "out"],
        artifacts_on=ArtifactsOn.FAILED,
        artifacts_size="1g",
        artifacts_files=10,
        artifacts_timeout=9,
    ) == {
        "image": "toolchain",
        "command": ("make", ""),
        "timeout": 90.0,
        "memory": 2 * 1024**3,
        "cpus": 2.0,
        "pids": 100,
        "network": "bridge",
        "cap_add": ("NET_RAW", "SYS_PTRACE"),
        "env": {"A": "", "b.c": "d"},
        "secrets": ("KEY=./key", "TOKEN=env:CI_TOKEN"),
        "volumes": ("./a:/a",),
        "workspace": WorkspaceMode.NONE,
        "workdir": "/tmp/a b",
        "artifacts": ("out", "/tmp/x"),
        "artifacts_on": ArtifactsOn.FAILED,
        "artifacts_size": 1024**3,
        "artifacts_files": 10,
        "artifacts_timeout": 9.0,
    }


@pytest.mark.parametrize("name", ["timeout", "memory", "cpus", "pids"])
def test_zero_means_no_limit(name: str) -> None:
    assert parsed(**{name: 0}) == {name: None}


def test_zero_as_a_size_means_no_limit() -> None:
    assert parsed(memory="0") == {"memory": None}


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("timeout", 0.001, 31_536_000),
        ("memory", 512 * 1024, 2**63 - 1),
        ("cpus", 0.01, 8192),
        ("pids", 1, 4_194_304),
    ],
)
def test_the_ends_of_a_range_are_allowed(name: str, least: float, most: float) -> None:
    assert parsed(**{name: least}) == {name: least}
    assert parsed(**{name: most}) == {name: most}


@pytest.mark.parametrize(("size", "is_small"), [(1, True), (512 * 1024 - 1, True), (-1, False)])
def test_a_small_number_of_bytes_is_taken_for_a_forgotten_unit(size: int, is_small: bool) -> None:
    assert str(problem(memory=size)).endswith("a bare number is bytes") is is_small


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image": ""}, "image: '' is neither the name of a declared image nor a reference"),
        ({"image": "a b"}, "image: 'a b' is neither"),
        ({"image": "--rm"}, "image: '--rm' is neither"),
        ({"image": "a\x1b"}, r"image: 'a\x1b' is neither"),
        ({"command": []}, "command: a command needs at least the name of a program"),
        ({"command": ["", "a"]}, "command: a command needs at least the name of a program"),
        ({"command": ["a", "b\0"]}, r"command[1]: 'b\x00' contains a NUL character"),
        ({"timeout": -1}, "timeout: -1 is not a number of seconds between 0 and 31536000"),
        ({"timeout": float("nan")}, "timeout: nan is not a number of seconds"),
        ({"timeout": float("inf")}, "timeout: inf is not a number of seconds"),
        ({"memory": "lots"}, "memory: 'lots' is not a size"),
        (
            {"memory": 2},
            "memory: 2 is not a limit between '512k' and 8 EiB; a bare number is bytes",
        ),
        ({"memory": -1}, "memory: -1 is not a limit between '512k' and 8 EiB"),
        ({"memory": "9999999t"}, "memory: '9999999t' is not a limit between '512k' and 8 EiB"),
        ({"cpus": -1.0}, "cpus: -1 is not a number of cores between 0.01 and 8192"),
        ({"cpus": 0.001}, "cpus: 0.001 is not a number of cores"),
        ({"cpus": 1e300}, "cpus: 1e+300 is not a number of cores"),
        ({"cpus": float("nan")}, "cpus: nan is not a number of cores"),
        ({"pids": -1}, "pids: -1 is not a number of processes between 1 and 4194304"),
        ({"pids": 4_194_305}, "pids: 4194305 is not a number of processes"),
        ({"cap_add": ["KILL", "NET_ADMN"]}, "cap_add[1]: there is no capability 'NET_ADMN'; did y"),
        ({"cap_add": ["CAP_ALL"]}, "cap_add[0]: there is no capability 'CAP_ALL'; did you mean"),
        ({"cap_add": [""]}, "cap_add[0]: there is no capability ''"),
        ({"env": {"": "x"}}, "env.\"\": '' cannot name an environment variable"),
        ({"env": {"A=B": "x"}}, "env.\"A=B\": 'A=B' cannot name an environment variable"),
        ({"env": {"A": "\0"}}, r"env.A: '\x00' contains a NUL character"),
        ({"secrets": ["A=/a", "hunter2"]}, "secrets[1]: this is not a secret"),
        ({"secrets": ["A=/a", "A=env:B"]}, "secrets[1]: there is a secret A already"),
        ({"secrets": ["BARASYNC_RUN=env:B"]}, "secrets[0]: BARASYNC_RUN is set by barasync"),
        ({"volumes": ["/a:/b", "c"]}, "volumes[1]: 'c' is not a volume"),
        ({"volumes": ["/a:/b", "/c:/b/"]}, "volumes[1]: /b has a volume already"),
        ({"workdir": ""}, "workdir: '' is not an absolute path in the container"),
        ({"workdir": "/\udcff"}, r"workdir: '/\udcff' is not UTF-8"),
        ({"workdir": "src"}, "workdir: 'src' is not an absolute path in the container"),
        ({"workdir": "/a\0"}, r"workdir: '/a\x00' contains a NUL character"),
        ({"artifacts": ["a", ""]}, "artifacts[1]: the path is empty"),
        ({"artifacts": ["a/../../b"]}, "artifacts[0]: 'a/../../b' leaves the workspace"),
        ({"artifacts_size": 0}, "artifacts_size: 0 is not a size between 1 byte and 8 EiB"),
        ({"artifacts_size": "much"}, "artifacts_size: 'much' is not a size"),
        ({"artifacts_files": 0}, "artifacts_files: 0 is not a number of files between 1 and 1000"),
        ({"artifacts_timeout": 0}, "artifacts_timeout: 0 is not a number of seconds above 0"),
        ({"artifacts": ["a/**/../b"]}, "artifacts[0]: 'a/**/../b' has a '..' behind a wildcard"),
        ({"artifacts": ["\0"]}, r"artifacts[0]: '\x00' contains a NUL character"),
    ],
)
def test_a_bad_value_is_refused_with_its_place(settings: dict[str, Any], message: str) -> None:
    assert str(problem(**settings)).startswith(f"barasync.toml: defaults.{message}")


@pytest.mark.parametrize("name", CELL_VARIABLES)
def test_the_variables_of_a_cell_cannot_be_set(name: str) -> None:
    assert f"env.{name}: {name} is set by barasync" in str(problem(env={name: "x"}))


def test_an_absolute_artifact_may_lie_anywhere() -> None:
    assert parsed(artifacts=["/var/../etc", "..a", "a/..", "a/../*", "*/..b"])["artifacts"]


@pytest.mark.parametrize("name", ["release", "Release-2", "3.11", "a_b", "x" * 100])
def test_a_configuration_may_be_called_so(name: str) -> None:
    check_config_name(name, "matrix.config[0]")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-a", "_a", "a b", "a/b", "a\n", "ä", "$(id)", "x" * 101]
)
def test_a_configuration_cannot_be_called_what_a_shell_or_a_path_reads_otherwise(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^matrix\.config\[0\]: .* cannot name a configuration"):
        check_config_name(name, "matrix.config[0]")


@pytest.mark.parametrize("name", ["base", "a.b", "a__b", "a--b", "3"])
def test_an_image_may_be_called_so(name: str) -> None:
    check_image_name(name, "images")


@pytest.mark.parametrize("name", ["", "Base", "a/b", "a:b", "-a", "a-", "a___b", "a\n"])
def test_an_image_cannot_be_called_what_no_reference_allows(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name an image"):
        check_image_name(name, "images")
