"""A file that a command's own output goes to is none of the project's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCAN = """
import sys
from pathlib import Path
from barasync.workspace.scan import scan
print("begun", flush=True)
print(*(entry.path for entry in scan(Path(sys.argv[1])).entries), file=sys.stderr)
"""


@pytest.mark.parametrize("in_git", [False, True], ids=["plain", "git"])
def test_the_file_that_stdout_leads_to_is_left_out(tmp_path: Path, *, in_git: bool) -> None:
    if in_git:
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "kept").write_text("begun\n")
    with (tmp_path / "build.log").open("w") as log:
        ended = subprocess.run(
            [sys.executable, "-c", SCAN, str(tmp_path)],
            check=True,
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert ended.stderr == "kept\n"


PICK = """
import sys
from pathlib import Path
from barasync.config.copies import Copy
from barasync.workspace.copies import read_copies
from barasync.workspace.pick import pick
print("begun", flush=True)
picked = pick(Path(sys.argv[1]), ".", checkpoint=lambda: None)
(copied,) = read_copies((Copy(sys.argv[1], "/in"),), checkpoint=lambda: None)
for found in (picked, copied):
    print(*(entry.path for entry in found.entries if entry.path), file=sys.stderr)
"""


def test_no_copy_has_the_file_that_stdout_leads_to(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("begun\n")
    with (tmp_path / "build.log").open("w") as log:
        ended = subprocess.run(
            [sys.executable, "-c", PICK, str(tmp_path)],
            check=True,
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert ended.stderr == "kept\nkept\n"
