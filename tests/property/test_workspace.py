"""What goes into a container as a workspace is what comes out of it as an artifact."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from barasync.artifacts.extract import Limits
from barasync.workspace.archive import stream
from barasync.workspace.scan import scan
from tests.rig.extraction import extracted

NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: (
        not {b"/", b"\0"} & {bytes([byte]) for byte in name}
        and name not in {b".", b"..", b".git", b".barasync"}
    )
)
TREES = st.recursive(
    st.tuples(st.binary(max_size=2000), st.sampled_from([0o600, 0o644, 0o755])),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
"""A file's content and mode, or a directory's content by name."""


def build(path: Path, node: object) -> None:
    if isinstance(node, tuple):
        content, mode = node
        path.write_bytes(content)
        path.chmod(mode)
    else:
        assert isinstance(node, dict)
        path.mkdir()
        for name, inner in node.items():
            build(path / os.fsdecode(name), inner)


def found(path: Path) -> object:
    if path.is_file():
        return path.read_bytes(), path.stat().st_mode & 0o777
    return {os.fsencode(inner.name): found(inner) for inner in path.iterdir()}


@given(tree=st.dictionaries(NAMES, TREES, max_size=4))
def test_a_project_arrives_as_it_was(tree: dict[bytes, object]) -> None:
    with tempfile.TemporaryDirectory() as name:
        source, destination = Path(name, "project"), Path(name, "copy")
        build(source, tree)
        pieces = bytearray(b"".join(stream(scan(source))))

        def read(size: int) -> bytes:
            piece = bytes(pieces[:size])
            del pieces[:size]
            return piece

        manifest = extracted(read, destination, Limits(), rooted=True)

        assert manifest.refused == ()
        assert found(destination) == tree
