"""Two users of one service: nobody's `clean` touches the live run of the other."""

from __future__ import annotations

import pwd
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from barasync.matrix.caches import NAME
from tests.rig import leftovers, libpod
from tests.rig.command import Barasync, read_until, sleeping_project
from tests.rig.second_user import admitted, as_user
from tests.rig.services import RigService

CELLS = 2
WORDS = ("matrix", "tests", "--jobs", str(CELLS), "--config", "a,b")

pytestmark = pytest.mark.whole_host


@pytest.fixture
def user(service: RigService) -> Iterator[pwd.struct_passwd]:
    with admitted(service.endpoint.socket_path) as account:
        yield account


@pytest.fixture
def mine(service: RigService, busybox: str, tmp_path: Path) -> Iterator[Barasync]:
    """Root's project, on a service where nothing is left of any run."""
    barasync = sleeping_project(service.endpoint.url, busybox, tmp_path / "mine")
    barasync("clean", "--all")
    yield barasync
    barasync("clean", "--all")


@pytest.fixture(params=[False, True], ids=["", "hidepid"])
def his(
    request: pytest.FixtureRequest,
    user: pwd.struct_passwd,
    service: RigService,
    busybox: str,
    tmp_path: Path,
) -> Barasync:
    """The project of another user, who may not see the processes of others."""
    barasync = sleeping_project(service.endpoint.url, busybox, tmp_path / "his")
    return as_user(barasync, user, hidden_proc=request.param)


def containers_of(service: RigService, run: str) -> int:
    names = libpod.containers(service.endpoint.socket_path).values()
    return sum(name.startswith(f"barasync-{run}-") for name in names)


def test_root_leaves_the_live_run_of_another_user_alone_and_removes_what_it_left_dead(
    mine: Barasync, his: Barasync, service: RigService
) -> None:
    with his.running(*WORDS) as process:
        read_until(process, "| ready", CELLS)
        run = his.record().name
        during = mine("clean", "--all")
        kept = containers_of(service, run)
        process.kill()
        process.wait()
    left = containers_of(service, run)
    after = mine("clean")

    assert (during.code, during.out.count("kept, its run lives")) == (0, CELLS + 1), during.out
    assert (kept, left, containers_of(service, run)) == (CELLS, CELLS, 0)
    assert after.out.count("removed") == CELLS + 1, after.out


def test_another_user_leaves_the_live_run_of_root_alone_and_removes_what_he_may(
    mine: Barasync, his: Barasync, service: RigService
) -> None:
    with mine.running(*WORDS) as process:
        read_until(process, "| ready", CELLS)
        run = mine.record().name
        during = his("clean")
        kept = containers_of(service, run)
        process.kill()
        process.wait()
    left = containers_of(service, run)
    after = his("clean")
    cgroups = leftovers.cgroups([run])
    at_last = mine("clean")

    assert (during.code, during.out.count(": kept, its run ")) == (0, CELLS + 1), during.out
    hidden = "unshare" in his.within
    assert ("cannot be judged" if hidden else "its run lives") in during.out
    assert (kept, left, containers_of(service, run)) == (CELLS, CELLS, 0)
    assert (after.code, after.out.count("removed")) == (0, CELLS + 1), after.out
    # The cgroups of the host are root's.
    assert cgroups
    assert at_last.out.count("removed") == 1, at_last.out
    assert leftovers.cgroups([run]) == []


def test_the_runs_of_two_users_end_without_each_other(
    mine: Barasync, his: Barasync, service: RigService
) -> None:
    with his.running(*WORDS) as process:
        read_until(process, "| ready", CELLS)
        ended = mine("matrix", "tests", "--config", "a", "--timeout", "0.5")
        kept = containers_of(service, his.record().name)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)

    assert ended.code == 1, ended.err
    assert "left on this service" not in ended.err
    assert kept == CELLS
    assert process.returncode == 130, (out + err).decode()
    assert libpod.containers(service.endpoint.socket_path) == {}


@pytest.mark.parametrize("his", [False], indirect=True)
def test_two_users_have_caches_of_their_own_which_nobody_waits_for(
    mine: Barasync, his: Barasync, service: RigService, busybox: str, tmp_path: Path
) -> None:
    """A lock of one cannot keep out the other."""
    script = "ls /c; echo $BARASYNC_RUN > /c/$BARASYNC_RUN; echo ready; sleep 1000"
    mine = replace(mine, environ={**mine.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    for each in (mine, his):
        each.configure_script(busybox, script, 'caches = ["things:/c"]')
    with mine.running("matrix", "tests") as one, his.running("matrix", "tests") as other:
        for process in (one, other):
            read_until(process, "| ready", 1)
        volumes = libpod.request(service.endpoint.socket_path, "GET", "volumes/json")
        for process in (one, other):
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=40)
    logs = [each.log(cell) for each in (mine, his) for cell in each.statuses()]
    cleaned = mine("clean", "--caches")

    assert [(volume["Labels"] or {}).get(NAME) for volume in volumes].count("things") == 2
    assert logs == ["ready\n"] * 2
    assert cleaned.out.count(": removed") == 2, cleaned.out
