"""The examples of the client alone, as a newcomer runs them; the page shows pieces of them."""

from __future__ import annotations

import subprocess
import sys

from tests.rig.services import PROJECT, RigService

EXAMPLES = PROJECT / "examples/aiopodman"
TOUR = """\
execute:
I am me
exit code 7
converse:
ONE
TWO
resize:
33 100
observe:
['PID', 'COMMAND'] True
[True]
paused
running
check:
healthy
share:
hunter2
{'example': 'yes'}
group:
['running', 'running']
Exited
watch:
create
start
died
"""


def run(name: str, *words: str) -> str:
    """Return what an example prints."""
    ended = subprocess.run(
        [sys.executable, EXAMPLES / name, *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_container_prints_and_ends(service: RigService, busybox: str) -> None:
    assert run("hello.py", service.endpoint.url, busybox) == "hello\nexit code 3\n"


def test_the_tour_of_the_page_does_what_it_says_and_leaves_nothing(
    service: RigService, busybox: str
) -> None:
    assert run("tour.py", "--url", service.endpoint.url, busybox) == TOUR


def test_the_example_shows_what_each_container_does_and_leaves_nothing(
    service: RigService, busybox: str
) -> None:
    lines = run("many.py", "--url", service.endpoint.url, busybox).splitlines()

    for number in "012":
        said = [line for line in lines if line.startswith(f"{number} | ")]
        assert sorted(said) == [f"{number} | {word}" for word in ("going", "now", "waiting")]
        assert said[0] == f"{number} | waiting"
        assert f"{number} ended with {number}" in lines
        happened = [line for line in lines if line.startswith(f"{number} event ")]
        for action in ("create", "start", "died", "remove"):
            assert happened.count(f"{number} event {action}") == 1, lines
