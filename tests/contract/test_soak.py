"""Many cells at once: every byte arrives and nothing is left. The long one is `script/soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rig.memory import MEBIBYTE
from tests.rig.services import RigService
from tests.rig.soak import soak


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("busybox")
def test_60_cells_lose_no_byte_and_leave_nothing(service: RigService, tmp_path: Path) -> None:
    result = soak(service, tmp_path, cells=60, jobs=16)

    assert result.problems == ()
    assert 0 < result.peak_memory_bytes < 150 * MEBIBYTE
