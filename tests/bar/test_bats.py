"""The tests of Bar.d that need no podman, one item for each file; see tests/contract/test_bar.py.

They run under the bar that BAR names, and under the stand-in for it where none is named; what only
bar itself can answer is then skipped, and counted as such.
"""

from __future__ import annotations

import pytest

from tests.rig import bats


@pytest.mark.timeout(bats.SECONDS)
@pytest.mark.parametrize("name", bats.files(of_effect=False))
def test_bats(name: str) -> None:
    bats.ran(name).judge(name)
