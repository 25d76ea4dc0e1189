"""`barasync clean`: exactly what dead runs left, whatever lives beside it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.rig import leftovers, libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until, sleeping_project
from tests.rig.services import RigService
from tests.rig.waiting import wait_until

NATIVE = native_architecture()
CELLS = 8
LIVE_CELLS = 4
ELSEWHERE = {"barasync.host": "another", "barasync.boot": "b", "barasync.pidns": "1"}
NOTHING = "nothing was left by any run\n"

pytestmark = pytest.mark.whole_host


@pytest.fixture
def socket_path(service: RigService) -> str:
    return service.endpoint.socket_path


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    """A project, on a service where nothing is left of any run."""
    barasync = sleeping_project(service.endpoint.url, busybox, tmp_path / "project", cells=CELLS)
    ended = barasync("clean")
    assert ended.code == 0, ended.out
    return barasync


@pytest.fixture(autouse=True)
def nothing_is_left(barasync: Barasync, socket_path: str) -> Iterator[None]:
    yield
    barasync("clean", "--all")
    assert libpod.containers(socket_path) == {}


def labels_of_newest_run(barasync: Barasync, socket_path: str) -> Mapping[str, str]:
    run = barasync.record().name
    query = {"all": "true", "filters": json.dumps({"label": [f"barasync.run={run}"]})}
    container, *_ = libpod.request(socket_path, "GET", "containers/json", query=query)
    labels: dict[str, str] = container["Labels"]
    return {
        name: value
        for name, value in labels.items()
        if name.startswith("barasync.") and not name.startswith("barasync.maker.")
    }


def make_network_and_volume(socket_path: str, labels: Mapping[str, str]) -> None:
    """Make one of each with the labels of a run, named after it."""
    run = labels["barasync.run"]
    body = {"name": f"net-{run}", "labels": labels}
    libpod.request(socket_path, "POST", "networks/create", body=body)
    libpod.request(
        socket_path, "POST", "volumes/create", body={"Name": f"vol-{run}", "Label": labels}
    )


def make_container(
    socket_path: str, image: str, labels: Mapping[str, str], **settings: object
) -> str:
    body = {
        "image": image,
        "command": ["sleep", "1000"],
        "labels": labels,
        "netns": {"nsmode": "none"},
        **settings,
    }
    return str(libpod.request(socket_path, "POST", "containers/create", body=body)["Id"])


def present(socket_path: str, run: str) -> dict[str, int]:
    """Count what is there of a run, by kind."""
    query = {"all": "true", "filters": json.dumps({"label": [f"barasync.run={run}"]})}
    maker = {"filters": json.dumps({"label": [f"barasync.maker.run={run}"]})}
    found = {
        "container": libpod.request(socket_path, "GET", "containers/json", query=query),
        "network": libpod.request(socket_path, "GET", "networks/json", query=query),
        "volume": libpod.request(socket_path, "GET", "volumes/json", query=query),
        "layer": libpod.request(socket_path, "GET", "images/json", query=maker),
        "cgroup": {Path(path).name for path in leftovers.cgroups([run])},
    }
    return {kind: len(listed or ()) for kind, listed in found.items()}


def said(text: str, run: str) -> list[str]:
    """Return what was said of a run, as `kind end`."""
    lines = re.findall(rf"^(\w+) \S+ \(run {run}[^)]*\): (.*)$", text, re.MULTILINE)
    return [f"{kind} {end}" for kind, end in lines]


def each(end: str, *, containers: int = CELLS) -> list[str]:
    kinds = [*["container"] * containers, "network", "volume", "layer", "cgroup"]
    return [f"{kind} {end}" for kind in kinds]


ALL = {"container": CELLS, "network": 1, "volume": 1, "layer": 1, "cgroup": 1}
NONE = dict.fromkeys(ALL, 0)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def test_clean_removes_all_that_a_killed_run_left_and_nothing_of_a_live_one(
    barasync: Barasync, service: RigService, busybox: str, socket_path: str, tmp_path: Path
) -> None:
    living = sleeping_project(service.endpoint.url, busybox, tmp_path / "living", cells=LIVE_CELLS)
    with living.running("matrix", "tests", "--jobs", str(LIVE_CELLS)) as alive:
        read_until(alive, "| ready", LIVE_CELLS)
        with barasync.running("matrix", "tests", "--jobs", str(CELLS)) as process:
            read_until(process, "| ready", CELLS)
            dead = barasync.record().name
            for one in (barasync, living):
                make_network_and_volume(socket_path, labels_of_newest_run(one, socket_path))
            before = barasync("clean")
            kill(process)
        left = present(socket_path, dead)
        promised = barasync("clean", "--dry-run")
        ended = barasync("clean")
        gone, stayed = present(socket_path, dead), present(socket_path, living.record().name)
        alive.send_signal(signal.SIGINT)
        alive.communicate(timeout=40)
    again = barasync("clean")
    at_last = barasync("clean")

    live = living.record().name
    assert sorted(said(before.out, dead)) == sorted(each("kept, its run lives"))
    assert left == ALL
    assert said(promised.out, dead) == each("would be removed")
    assert said(ended.out, dead) == each("removed")
    assert sorted(said(ended.out, live)) == sorted(
        each("kept, its run lives", containers=LIVE_CELLS)
    )
    assert (ended.code, gone, stayed) == (0, NONE, {**ALL, "container": LIVE_CELLS})
    # The volume went with the run itself, which looks for those of its own at its end.
    assert said(again.out, live) == ["network removed", "layer removed"]
    assert at_last.out == NOTHING
    assert libpod.containers(socket_path) == {}


def test_podman_itself_would_have_ended_what_a_killed_run_left_half_a_minute_late(
    barasync: Barasync, socket_path: str
) -> None:
    with barasync.running("matrix", "tests", "--config", "a") as process:
        read_until(process, "| ready", 1)
        kill(process)

    (left,) = libpod.containers(socket_path)
    found = libpod.request(socket_path, "GET", f"containers/{left}/json")
    assert found["Config"]["Timeout"] == 630


def test_a_run_tells_of_what_dead_runs_left_and_touches_nothing(
    barasync: Barasync, socket_path: str
) -> None:
    with barasync.running("matrix", "tests", "--jobs", str(CELLS)) as process:
        read_until(process, "| ready", CELLS)
        make_network_and_volume(socket_path, labels_of_newest_run(barasync, socket_path))
        kill(process)
    left = libpod.containers(socket_path)

    ended = barasync("matrix", "tests", "--config", "a", "--timeout", "0.1")
    after = libpod.containers(socket_path)
    barasync("clean")
    quiet = barasync("matrix", "tests", "--config", "a", "--timeout", "0.1")

    everything = "8 containers, 1 network, 1 volume, 1 layer and 1 cgroup of a dead run"
    assert f"{everything} are left on this service; `barasync clean`" in ended.err
    assert after == left
    assert "left on this service" not in quiet.err


def test_the_cgroup_of_a_killed_run_goes_though_its_containers_are_gone(
    barasync: Barasync, socket_path: str
) -> None:
    with barasync.running("matrix", "tests", "--config", "a") as process:
        read_until(process, "| ready", 1)
        kill(process)
    (left,) = libpod.containers(socket_path)
    libpod.remove_container(socket_path, left)

    ended = barasync("clean")

    assert said(ended.out, barasync.record().name) == ["layer removed", "cgroup removed"]


@pytest.mark.parametrize(
    "elsewhere",
    [ELSEWHERE, {"barasync.pidns": "1"}],
    ids=["another host", "another PID namespace"],
)
def test_what_cannot_be_judged_is_kept_and_said_until_all_is_asked_for(
    barasync: Barasync, socket_path: str, busybox: str, elsewhere: dict[str, str]
) -> None:
    with barasync.running("matrix", "tests", "--config", "a") as process:
        read_until(process, "| ready", 1)
        labels = labels_of_newest_run(barasync, socket_path)
        kill(process)
    barasync("clean")
    foreign = {**labels, "barasync.run": "foreign", **elsewhere}
    make_network_and_volume(socket_path, foreign)
    make_container(socket_path, busybox, foreign)

    ended = barasync("clean")
    kept = present(socket_path, "foreign")
    everything = barasync("clean", "--all")

    kinds = ["container", "network", "volume"]
    assert ended.code == 0
    assert [line.split()[0] for line in said(ended.out, "foreign")] == kinds
    assert ended.out.count("kept, its run cannot be judged from here") == len(kinds)
    assert kept == {**NONE, "container": 1, "network": 1, "volume": 1}
    assert said(everything.out, "foreign") == [f"{kind} removed" for kind in kinds]
    assert present(socket_path, "foreign") == NONE


def test_what_somebody_else_uses_is_kept_and_is_no_failure(
    barasync: Barasync, socket_path: str
) -> None:
    with barasync.running("matrix", "tests", "--config", "a") as process:
        read_until(process, "| ready", 1)
        run = barasync.record().name
        make_network_and_volume(socket_path, labels_of_newest_run(barasync, socket_path))
        (cell,) = libpod.containers(socket_path)
        layer = libpod.request(socket_path, "GET", f"containers/{cell}/json")["Image"]
        kill(process)
    body = {
        "image": layer,
        "command": ["true"],
        "netns": {"nsmode": "bridge"},
        "Networks": {f"net-{run}": {}},
        "volumes": [{"Name": f"vol-{run}", "Dest": "/cache"}],
    }
    mine = libpod.request(socket_path, "POST", "containers/create", body=body)["Id"]

    ended = barasync("clean")
    kept = libpod.containers(socket_path)
    libpod.remove_container(socket_path, mine)
    again = barasync("clean")

    assert ended.code == 0, ended.out
    assert list(kept) == [mine]
    ends = [line.partition(":")[0] for line in said(ended.out, run)]
    assert ends == [
        "container removed",
        "network kept, in use",
        "volume kept, in use",
        "layer kept, in use",
        "cgroup removed",
    ]
    assert said(again.out, run) == ["network removed", "volume removed", "layer removed"]


def test_an_image_that_somebody_made_of_a_layer_stays(barasync: Barasync, socket_path: str) -> None:
    mine = "localhost/barasync-test/mine:1"
    with barasync.running("matrix", "tests", "--config", "a") as process:
        read_until(process, "| ready", 1)
        (cell,) = libpod.containers(socket_path)
        query = {"container": cell, "repo": mine.rpartition(":")[0], "tag": "1"}
        libpod.request(socket_path, "POST", "commit", query=query)
        kill(process)

    ended = barasync("clean")
    names = [image["RepoTags"] for image in libpod.request(socket_path, "GET", "images/json")]
    libpod.request(socket_path, "DELETE", f"images/{mine}")

    assert "layer removed" in said(ended.out, barasync.record().name)
    assert [mine] in names


def test_a_run_whose_layer_is_cleaned_away_makes_it_anew(
    barasync: Barasync, busybox: str, socket_path: str, tmp_path: Path
) -> None:
    """The layer of a dead run serves the next one, which has no container of it for a while."""
    (tmp_path / "go").mkdir()
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "-c", "test -e barasync.toml && echo done"]
        [matrix]
        config = ["first", "between", "last"]
        [config.between]
        workspace = "none"
        volumes = ["{tmp_path}/go:/go"]
        command = ["sh", "-c", "echo ready; until test -e /go/on; do sleep 0.1; done"]
        """
    )
    assert barasync("matrix", "tests", "--config", "first").code == 0
    maker = barasync.record().name

    with barasync.running("matrix", "tests", "--jobs", "1") as process:
        read_until(process, "| ready", 1)
        ended = barasync("clean")
        (tmp_path / "go/on").touch()
        out, err = process.communicate(timeout=40)

    assert said(ended.out, maker) == ["layer removed"]
    assert process.returncode == 0, (out + err).decode()
    assert set(barasync.statuses().values()) == {"passed"}
    assert barasync.log(f"{NATIVE}-last") == "done\n"
    assert present(socket_path, barasync.record().name)["layer"] == 1


def test_what_was_prepared_and_never_started_is_not_ended_by_podman_and_goes_with_clean(
    barasync: Barasync, busybox: str, socket_path: str
) -> None:
    """Podman counts the seconds of its own timeout from the start of a container."""
    with barasync.running("matrix", "tests", "--config", "a") as process:
        read_until(process, "| ready", 1)
        labels = labels_of_newest_run(barasync, socket_path)
        kill(process)
    prepared = make_container(socket_path, busybox, labels, timeout=1)
    started = make_container(socket_path, busybox, labels, timeout=1)
    libpod.request(socket_path, "POST", f"containers/{prepared}/init")
    libpod.request(socket_path, "POST", f"containers/{started}/start")
    # The other one was prepared before: its second is over too.
    code = libpod.request(socket_path, "POST", f"containers/{started}/wait")
    found = libpod.request(socket_path, "GET", f"containers/{prepared}/json")["State"]

    ended = barasync("clean")

    assert int(code) == -1
    # Podman 4 calls it created, as before it had a process.
    assert (found["Status"] in {"created", "initialized"}, found["Pid"] > 0) == (True, True)
    assert said(ended.out, labels["barasync.run"])[:3] == ["container removed"] * 3
    assert libpod.containers(socket_path) == {}
    wait_until(
        lambda: not Path(f"/proc/{found['Pid']}").exists(), "its process ends with the container"
    )
