"""An ignore file leaves out the same files whatever directories nobody looks into."""

from __future__ import annotations

import posixpath
import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from barasync.workspace.ignore import Ignore
from barasync.workspace.scan import scan
from barasync.workspace.tree import Kind

NAMES = st.sampled_from(["a", "b", "ab"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
SEGMENTS = st.sampled_from(["a", "b", "*", "**", "?", "a*", "[ab]", "**b"])
PATTERNS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
# Most are to leave out a directory first, and to take in something below it then.
FILES = st.tuples(
    st.lists(PATTERNS, min_size=1, max_size=2),
    st.lists(PATTERNS.map("!{}".format), max_size=2),
    st.lists(PATTERNS, max_size=1),
).map(lambda parts: "\n".join(line for part in parts for line in part))


def leaves_out(ignore: Ignore, path: str) -> bool:
    matches = ignore.nothing
    for depth in range(1, path.count("/") + 2):
        matches = ignore.matches("/".join(path.split("/")[:depth]), matches)
    return ignore.leaves_out(matches)


@example(files={"b/a"}, text="*\n!**/a")
@example(files={"a/b/ab"}, text="a\n!a/b")
@given(files=st.sets(PATHS, min_size=3, max_size=8), text=FILES)
def test_a_walk_finds_what_the_patterns_leave_and_what_is_above(files: set[str], text: str) -> None:
    ignore = Ignore.parse(text, Path("x"))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / ".dockerignore").write_text(text)
        made = {".dockerignore"}
        for path in sorted(files):
            if (
                not any((root / above).is_file() for above in above_of(path))
                and not (root / path).exists()
            ):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).touch()
                made.add(path)
        tree = scan(root)

    found = {entry.path for entry in tree.entries if entry.kind is Kind.FILE}
    directories = {entry.path for entry in tree.entries if entry.kind is Kind.DIRECTORY}
    assert found == {path for path in made if not leaves_out(ignore, path)}
    assert {above for path in found for above in above_of(path)} <= directories


def above_of(path: str) -> list[str]:
    above = []
    while path := posixpath.dirname(path):
        above.append(path)
    return above
