"""Fixtures of the tests without podman."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.archives import sandbox


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A path to extract to; afterwards nothing but that path may have changed."""
    with sandbox(tmp_path) as path:
        yield path
