"""The examples of the client alone, as a newcomer runs them; the page shows pieces of them."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.rig import libpod
from tests.rig.services import PROJECT, RigService

pytestmark = pytest.mark.timeout(180)

EXAMPLES = PROJECT / "examples/aiopodman"
SECONDS = 120
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
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def objects(service: RigService) -> set[tuple[str, str]]:
    """Return the containers, pods, volumes and secrets of a service."""
    kinds = {
        "containers": ("Id", {"all": "true"}),
        "pods": ("Id", {}),
        "volumes": ("Name", {}),
        "secrets": ("ID", {}),
    }
    return {
        (kind, each[key])
        for kind, (key, query) in kinds.items()
        for each in libpod.request(service.endpoint.socket_path, "GET", f"{kind}/json", query=query)
        or ()
    }


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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("many.py", "event create"),
        ("many.py", "waiting"),
        ("many.py", "going"),
        ("tour.py", "share:"),
        ("tour.py", "group:"),
    ],
)
def test_an_example_that_is_interrupted_leaves_nothing(
    service: RigService, busybox: str, name: str, said: str
) -> None:
    before = objects(service)
    words = [sys.executable, str(EXAMPLES / name), "--url", service.endpoint.url, busybox]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            seen = next((line for line in process.stdout if said in line), None)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=SECONDS)
        finally:
            process.kill()

    assert seen is not None, error
    assert process.returncode == -signal.SIGINT, error
    assert objects(service) == before
