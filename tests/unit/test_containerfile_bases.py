from __future__ import annotations

import pytest

from barasync.images.containerfile_bases import bases_of
from barasync.matrix.platforms import parse

ARM = parse("arm64")


@pytest.mark.parametrize(
    ("text", "bases"),
    [
        ("FROM a\nRUN echo FROM b\n", ("a",)),
        ("# FROM z\n\nfrom a AS one\nFROM One\nFROM docker.io/b:1 as two\nFROM a\n",
         ("a", "docker.io/b:1")),
        ("FROM scratch\nCOPY --from=localhost/tools:1 /x /\n", ("localhost/tools:1",)),
        ("FROM a AS one\nFROM b\nCOPY --chown=1 --from=one /x /\nCOPY --from=0 /x /\n", ("a", "b")),
        ("ARG TAG=1\nARG NAME\nFROM a:$TAG\nFROM b:${TAG}x\nFROM $NAME\n", ("a:1", "b:1x", "")),
        ("ARG REG=host/x\nARG BASE=${REG}/y\nFROM ${BASE}:${TAG:-9}\n", ("host/x/y:9",)),
        ('ARG TAG="1"\nFROM "a:$TAG"\n', ("a:1",)),
        ("FROM a \\\n# no part of it\n  AS one\nARG TAG=1\nFROM b:$TAG\n", ("a", "")),
        ("FROM a:$TARGETARCH\n", ("a:arm64",)),
        ("FROM --platform=linux/amd64 a AS x\nFROM b\n", ("", "b")),
        ("FROM oci:dir\nFROM docker:27\n", ("", "docker:27")),
        ("FROM\nCOPY\n", ("",)),
    ],
    ids=[
        "plain", "stages", "copied", "stages-copied", "arguments", "nested", "quoted", "continued",
        "target", "platform", "files", "broken",
    ],
)  # fmt: skip
def test_the_images_that_a_containerfile_names(text: str, bases: tuple[str, ...]) -> None:
    assert bases_of(text, ARM) == bases
