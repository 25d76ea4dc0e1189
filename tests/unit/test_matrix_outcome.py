from __future__ import annotations

import pytest

from barasync.matrix.outcome import Outcome, Status


@pytest.mark.parametrize("status", Status)
def test_only_a_passed_cell_passed(status: Status) -> None:
    assert Outcome(status=status).passed is (status is Status.PASSED)
