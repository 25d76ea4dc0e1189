"""The limit on open files that a command gives itself."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

HARD = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [(256, 300, 300), (300, 300, 300), (256, HARD, HARD)],
)
def test_the_soft_limit_is_raised_to_the_hard_one(soft: int, hard: int, raised: int) -> None:
    """In a process of its own: it gives up what it cannot have back."""
    script = (
        "import resource as r, sys; from barasync.cli.app import main\n"
        f"r.setrlimit(r.RLIMIT_NOFILE, ({soft}, {hard})); sys.argv = ['barasync', '--version']\n"
        "try:\n    main()\n"
        "finally:\n    print(*r.getrlimit(r.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == f"{raised} {hard}"


def test_it_is_not_raised_beyond_what_children_can_bear() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    script = (
        "import resource as r; from barasync.cli.open_files import allow_many\n"
        f"r.setrlimit(r.RLIMIT_NOFILE, (256, {hard})); allow_many()\n"
        "print(r.getrlimit(r.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    limit = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    assert int(done.stdout) == limit
