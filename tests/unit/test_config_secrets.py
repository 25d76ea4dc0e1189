from __future__ import annotations

from pathlib import PurePath

import pytest

from barasync.config.secrets import Secret, anchor_secret, parse_secret


@pytest.mark.parametrize(
    ("text", "name", "source", "variable"),
    [
        ("KEY=/etc/key", "KEY", "/etc/key", None),
        ("tls.key-1=./a=b", "tls.key-1", "./a=b", None),
        ("_=env", "_", "env", None),
        ("K=./env:A", "K", "./env:A", None),
        ("TOKEN=env:CI_TOKEN", "TOKEN", "env:CI_TOKEN", "CI_TOKEN"),
    ],
)
def test_a_secret_is_a_name_and_a_file_or_a_variable(
    text: str, name: str, source: str, variable: str | None
) -> None:
    secret = parse_secret(text)

    assert secret == Secret(name, source)
    assert (secret.variable, secret.in_environment) == (variable, variable is not None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hunter2", "this is not a secret; write 'NAME=PATH' or 'NAME=env:VARIABLE'"),
        ("", "this is not a secret"),
        ("=hunter2", "'' cannot name a secret"),
        ("../etc=hunter2", "'../etc' cannot name a secret"),
        (".=hunter2", "'.' cannot name a secret"),
        ("a/b=hunter2", "'a/b' cannot name a secret"),
        ("a b=hunter2", "'a b' cannot name a secret"),
        ("x" * 101 + "=hunter2", "cannot name a secret"),
        ("tls.key=env:hunter2", "'tls.key' cannot name a secret in the environment"),
        ("1=env:hunter2", "'1' cannot name a secret in the environment"),
        ("K=", "secret K: what follows '=' is neither"),
        ("K=env:", "secret K: what follows '=' is neither"),
        ("K=env:hunter2=", "secret K: what follows '=' is neither"),
        ("K=/hunter2\0", "secret K: what follows '=' is neither"),
    ],
)
def test_what_is_no_secret_is_refused_and_what_may_be_a_value_is_not_quoted(
    text: str, problem: str
) -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        parse_secret(text)

    assert problem in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "anchored"),
    [
        ("K=key", "K=/project/key"),
        ("K=./sub/../key", "K=/project/key"),
        ("K=../key", "K=/key"),
        ("K=/etc/key", "K=/etc/key"),
        ("K=env:V", "K=env:V"),
    ],
)
def test_a_relative_path_starts_at_the_folder(text: str, anchored: str) -> None:
    assert anchor_secret(text, PurePath("/project")) == anchored


def test_a_relative_path_needs_a_folder_to_start_at() -> None:
    assert anchor_secret("K=env:V", None) == "K=env:V"
    with pytest.raises(ValueError, match="secret K: a relative path has no folder to start at"):
        anchor_secret("K=key", None)
