"""Which thread of a podman service is where the service is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest

from barasync.aiopodman.service_threads import Namespace, thread_at_home


def process(proc: Path, threads: dict[int, str]) -> None:
    """Make the threads of process 7, each in a mount namespace."""
    for thread, namespace in threads.items():
        directory = proc / "7/task" / str(thread) / "ns"
        directory.mkdir(parents=True)
        (directory / "mnt").symlink_to(namespace)


def test_a_first_thread_that_rests_in_a_container_is_left_out(tmp_path: Path) -> None:
    process(tmp_path, {7: "mnt:[2]", 9: "mnt:[1]", 8: "mnt:[1]"})

    assert thread_at_home(7, "mnt", proc=tmp_path) == 8


def test_it_is_the_first_one_while_that_is_at_home(tmp_path: Path) -> None:
    process(tmp_path, {9: "mnt:[1]", 8: "mnt:[2]", 7: "mnt:[1]"})
    (tmp_path / "7/task/10").mkdir()  # a thread that ends in this moment

    assert thread_at_home(7, "mnt", proc=tmp_path) == 7


def test_of_a_process_that_cannot_be_looked_at_it_is_the_process(tmp_path: Path) -> None:
    assert thread_at_home(7, "mnt", proc=tmp_path) == 7


@pytest.mark.parametrize("namespace", get_args(Namespace))
def test_this_process_is_at_home(namespace: Namespace) -> None:
    assert thread_at_home(os.getpid(), namespace) == os.getpid()
