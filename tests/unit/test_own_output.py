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
