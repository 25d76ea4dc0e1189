from __future__ import annotations

import pytest

from barasync.aiopodman.wire.reference import (
    InvalidReference,
    Reference,
    is_image_id,
    parse_reference,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("debian", Reference("", "debian")),
        ("debian:trixie", Reference("", "debian", "trixie")),
        ("library/debian", Reference("", "library/debian")),
        ("localhost/x:y", Reference("localhost", "x", "y")),
        ("localhost:5000/x", Reference("localhost:5000", "x")),
        ("127.0.0.1:5000/a/b_c/d--e:1.2-3", Reference("127.0.0.1:5000", "a/b_c/d--e", "1.2-3")),
        ("[::1]:5000/x", Reference("[::1]:5000", "x")),
        ("registry.example.org/team/x", Reference("registry.example.org", "team/x")),
        ("HOST/x", Reference("HOST", "x")),
        (f"quay.io/x@{DIGEST}", Reference("quay.io", "x", "", DIGEST)),
        (f"quay.io/x:1@{DIGEST}", Reference("quay.io", "x", "1", DIGEST)),
    ],
)
def test_a_reference_is_taken_apart_and_put_together_again(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference
    assert str(reference) == text


def test_the_name_is_without_tag_and_digest() -> None:
    assert parse_reference(f"quay.io/a/b:1@{DIGEST}").name == "quay.io/a/b"
    assert parse_reference("debian:1").name == "debian"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not a repository"),
        ("Debian", "'Debian' is not a repository"),
        ("a b", "'a b' is not a repository"),
        ("a//b", "is not a repository"),
        ("/a", "is not a repository"),
        ("a/", "is not a repository"),
        ("a:", "'' is not a tag"),
        ("a:-x", "'-x' is not a tag"),
        ("a:" + "x" * 129, "is not a tag"),
        ("a:b:c", "'b:c' is not a tag"),
        ("a@sha256:12", "'sha256:12' is not a digest"),
        ("a@", "'' is not a digest"),
        ("docker://debian", "is not a registry's host and port"),
        ("-x.org/a", "'-x.org' is not a registry's host and port"),
        ("a" * 256, "longer than 255 characters"),
        (DIGEST, "is an image ID, not a reference"),
        (DIGEST.removeprefix("sha256:"), "is an image ID, not a reference"),
        ("x\n", "is not a repository"),
    ],
)
def test_what_is_not_a_reference_is_refused_with_the_part_that_is_wrong(
    text: str, problem: str
) -> None:
    with pytest.raises(InvalidReference, match=problem):
        parse_reference(text)


def test_an_invalid_reference_is_a_value_error() -> None:
    assert issubclass(InvalidReference, ValueError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(DIGEST, True), (DIGEST[7:], True), (DIGEST[:-1], False), ("debian", False), ("", False)],
)
def test_an_image_id_is_recognised(text: str, expected: bool) -> None:
    assert is_image_id(text) is expected
