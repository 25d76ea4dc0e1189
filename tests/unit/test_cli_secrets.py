"""Where the values of secrets come from, and what is wrong with some."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from barasync.aiopodman.secrets import MOST_BYTES
from barasync.aiopodman.version import negotiate
from barasync.cli.secrets import read_secrets, secret_notes
from barasync.errors import ConfigError
from barasync.masking.masker import MOST_LINES
from barasync.masking.value import SecretValue
from barasync.matrix.plan import Plan
from tests.unit.world import cell

ENVIRON = {"CI_TOKEN": "hunter2", "EMPTY": "", "NUL": "a\0b"}


def plan(*secrets: str) -> Plan:
    one = cell("a", secrets=secrets)
    object.__setattr__(one, "provenance", {"secrets": "--secret"})
    return Plan(rule="tests", args=(), cells=(one, one))


def read(*secrets: str, environ: Mapping[str, str] = ENVIRON) -> dict[str, bytes]:
    values = read_secrets(plan(*secrets), environ)
    return {source: value.reveal() for source, value in values.items()}


def test_each_source_is_read_once_and_as_it_is(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"\0\xff\n")

    assert read(
        f"A={key}", f"B={key}", "C=env:CI_TOKEN", "D=env:ODD", environ={**ENVIRON, "ODD": "é\ufffd"}
    ) == {str(key): b"\0\xff\n", "env:CI_TOKEN": b"hunter2", "env:ODD": "é\ufffd".encode()}


@pytest.mark.parametrize("value", [b"hunter2\xff", b"\xed\xa0\x80hunter2", b"\xc0\x80"])
def test_a_variable_that_podman_would_change_is_refused(value: bytes) -> None:
    with pytest.raises(
        ConfigError, match=r"^--secret: secret A: the value of ODD is not UTF-8"
    ) as caught:
        read("A=env:ODD", environ={"ODD": os.fsdecode(value)})

    assert caught.value.hint == "give it as a file: write NAME=PATH"
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_the_largest_value_is_one_that_podman_takes(tmp_path: Path) -> None:
    (tmp_path / "most").write_bytes(b"x" * MOST_BYTES)
    (tmp_path / "more").write_bytes(b"x" * (MOST_BYTES + 1))

    assert len(read(f"A={tmp_path}/most")[f"{tmp_path}/most"]) == MOST_BYTES
    with pytest.raises(ConfigError, match="secret A: podman keeps 511999 bytes at most"):
        read(f"A={tmp_path}/more")


def test_a_value_may_come_through_a_pipe() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "wb") as file:
        file.write(b"hunter2")
        file.close()
        assert read(f"A=/dev/fd/{reader}") == {f"/dev/fd/{reader}": b"hunter2"}


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("A=env:NOWHERE", "--secret: secret A: the variable NOWHERE is not set"),
        ("A=env:EMPTY", "--secret: secret A: the value is empty"),
        ("A=env:NUL", "--secret: secret A: a value with a NUL byte cannot be"),
        ("A=/dev/null", "--secret: secret A: the value is empty"),
        ("A=/nowhere/hunter2", "--secret: secret A: its file cannot be read: No such file"),
        ("A=/dev", "--secret: secret A: its file cannot be read: Is a directory"),
    ],
)
def test_what_cannot_be_a_value_is_refused_and_not_quoted(secret: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(secret)

    assert str(caught.value).startswith(problem)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(("version", "shown"), [("4.3.1", True), ("5.4.2", False)])
def test_an_old_podman_shows_variables_and_that_is_said(version: str, shown: bool) -> None:
    secrets = ("A=/key", "B=env:CI_TOKEN", "C=env:CI_TOKEN")
    values = {"/key": SecretValue(b"x"), "env:CI_TOKEN": SecretValue(b"hunter2")}

    notes = secret_notes(plan(*secrets), values, negotiate(version))

    beginning = f"podman {version} shows the value of a secret in the environment (B, C)"
    assert [note.startswith(beginning) for note in notes] == [True] * shown
    assert secret_notes(plan(), {}, negotiate(version)) == ()
    assert secret_notes(plan("A=/key"), values, negotiate(version)) == ()


def test_a_value_that_is_not_masked_line_by_line_is_told_of() -> None:
    values = {
        "/long": SecretValue(b"one line\n" * (MOST_LINES + 1)),
        "/short": SecretValue(b"{\n  hunter2\n}\n"),
        "/both": SecretValue(b"a line\n" * (MOST_LINES + 1)),
        "/whole": SecretValue(b"a line\n"),
    }

    notes = secret_notes(
        plan("A=/long", "B=/short", "C=/both", "D=/whole"), values, negotiate("5.4.2")
    )

    assert notes == (
        "secret A: of its lines those after the first 256 are not masked one by one",
        "secret B: of its lines those of fewer than 8 bytes are not masked one by one",
        (
            "secret C: of its lines those after the first 256 and those of fewer than 8 bytes "
            "are not masked one by one"
        ),
    )
