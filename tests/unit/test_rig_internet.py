"""Where the mounts of a service of the tests are."""

from __future__ import annotations

from pathlib import Path

from tests.rig.internet import thread_at_home


def test_a_first_thread_that_rests_in_a_container_is_not_the_one_that_is_chosen(
    tmp_path: Path,
) -> None:
    for thread, namespace in ((7, "mnt:[2]"), (8, "mnt:[1]"), (9, "mnt:[1]")):
        directory = tmp_path / "task" / str(thread) / "ns"
        directory.mkdir(parents=True)
        (directory / "mnt").symlink_to(namespace)
    (tmp_path / "task/10").mkdir()

    assert thread_at_home(tmp_path) in {8, 9}
