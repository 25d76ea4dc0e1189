"""What every suite shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, settings

from tests.rig.plugin import pytest_addoption, pytest_configure

__all__ = ["pytest_addoption", "pytest_configure"]

# How long one example takes is the host's affair: a busy one must not fail a test that is right.
settings.register_profile("any-host", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-host")


# An event that was seen is recorded; a script of the package is read once; a file in memory goes in
# the moment in which its container runs; two tests look at files from within a callback.
ON_PURPOSE = (
    ("os.write", "barasync/report/jsonl.py", "emit"),
    ("io.TextIOWrapper.read", "barasync/images/bootstrap/recipe.py", "_script"),
    ("os.unlink", "barasync/engine/starts_once.py", "remove"),
    ("io.TextIOWrapper.read", "tests/unit/test_mmdebstrap.py", "cancel"),
    ("io.BufferedReader.read", "tests/unit/test_report_spool.py", "contents"),
    ("os.listdir", "tests/unit/test_report_spool.py", "contents"),
)


@pytest.fixture
def anyio_backend() -> str:
    """The backend that barasync runs on; suites that promise trio as well parametrise this."""
    return "asyncio"


@pytest.fixture(autouse=True)
def nothing_of_ours_blocks_the_event_loop() -> Iterator[None]:
    """Fail a test in which code of barasync makes a blocking call on the event loop."""
    with blockbuster_ctx("barasync") as blockbuster:
        for call, file, function in ON_PURPOSE:
            blockbuster.functions[call].can_block_in(file, function)
        yield
