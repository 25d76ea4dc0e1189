"""What a person reads when a command ends with an exception."""

from __future__ import annotations

import pytest

from barasync.aiopodman import ConnectError
from barasync.cli.failures import explain
from barasync.errors import BarasyncError, ConfigError, EngineUnavailable, ImageError


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (ConfigError("wrong", hint="do this"), "barasync: wrong\n  hint: do this\n", 2),
        (ImageError("missing"), "barasync: missing\n", 5),
        (ConnectError("gone"), "barasync: podman: gone\n", 4),
    ],
)
def test_an_expected_error_is_a_sentence_and_a_code(error: Exception, text: str, code: int) -> None:
    found = explain(error)

    assert found.text.startswith(text)
    assert (found.exit_code, found.defect) == (code, False)


def test_anything_else_is_a_defect_of_ours() -> None:
    found = explain(KeyError("x"))

    assert found.text.startswith("barasync: KeyError: 'x'\n")
    assert (found.exit_code, found.defect) == (70, True)


def group(*errors: Exception) -> Exception:
    return ExceptionGroup("tasks", [ExceptionGroup("inner", list(errors))])


def test_of_several_errors_a_defect_is_told_first_then_ours() -> None:
    ours: BarasyncError = EngineUnavailable("gone")

    assert explain(group(ConnectError("broke"), ours)).text == "barasync: gone\n"
    assert explain(group(ours, KeyError("x"))).defect
