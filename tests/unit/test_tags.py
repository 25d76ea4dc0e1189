"""The names that a person gives to built images."""

from __future__ import annotations

import pytest

from barasync.errors import ConfigError
from barasync.images.tags import default_tag, parse_tag


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("tool", "localhost/tool:latest"),
        ("tool:1.0", "localhost/tool:1.0"),
        ("team/tool:1", "localhost/team/tool:1"),
        ("localhost/tool", "localhost/tool:latest"),
        ("registry.example:5000/team/tool:2", "registry.example:5000/team/tool:2"),
        ("registry.example/barasync/tool:2", "registry.example/barasync/tool:2"),
    ],
)
def test_a_tag_is_a_full_name(given: str, name: str) -> None:
    assert str(parse_tag(given, "--tag")) == name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Tool:1", "'Tool' is not a repository"),
        ("tool:", "'' is not a tag"),
        ("tool@sha256:" + "0" * 64, "has a digest"),
        ("0" * 64, "is an image ID"),
        ("localhost/barasync/step:1", "is a name of barasync's own"),
        ("barasync/tool", "is a name of barasync's own"),
    ],
)
def test_what_cannot_name_an_image_is_refused_with_its_place(given: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"^--tag: ") as caught:
        parse_tag(given, "--tag")

    assert said in str(caught.value)


def test_an_image_has_its_declared_name_unless_it_has_the_project() -> None:
    assert str(default_tag("bar-rust", None)) == "localhost/bar-rust:latest"
    assert str(default_tag("project", "1f3a5c7e9b0d2468" * 4)) == "localhost/project:1f3a5c7e9b0d"
