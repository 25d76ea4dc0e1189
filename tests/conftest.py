"""What every suite shares."""

from __future__ import annotations

import pytest

from tests.rig.plugin import pytest_addoption, pytest_configure

__all__ = ["pytest_addoption", "pytest_configure"]


@pytest.fixture
def anyio_backend() -> str:
    """The backend that barasync runs on; suites that promise trio as well parametrise this."""
    return "asyncio"
