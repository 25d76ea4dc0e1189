"""`run --detach`: containers that outlive their command, on real podmans."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, Ended
from tests.rig.own_host import own_host
from tests.rig.services import Installation, RigService
from tests.rig.waiting import wait_until

IMAGE = f"localhost/busybox:{native_architecture()}"
OWN_IMAGE = "localhost/b:1"
WAITING = "echo begun; exec sleep 1000"
NAME = re.compile(r"barasync-\S+-1-detached")

pytestmark = pytest.mark.whole_host


@pytest.fixture
def socket_path(service: RigService) -> str:
    return service.endpoint.socket_path


@pytest.fixture
def barasync(
    service: RigService, busybox: str, tmp_path: Path, socket_path: str
) -> Iterator[Barasync]:
    """The command line in an empty project; what is detached there goes with the test."""
    assert busybox
    project = tmp_path / "project"
    project.mkdir()
    barasync = Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    yield barasync
    detached = [key for key, name in libpod.containers(socket_path).items() if NAME.match(name)]
    libpod.remove_containers(socket_path, detached)
    ended = barasync("clean", "--caches")
    assert ended.code == 0, ended.out


def detach(barasync: Barasync, *words: str, script: str = WAITING, image: str = IMAGE) -> Ended:
    return barasync("run", "--detach", *words, image, "--", "sh", "-c", script)


def name_of(ended: Ended) -> str:
    """Return the name that a command has printed, and nothing else."""
    assert ended.code == 0, ended.err
    name = ended.out.removesuffix("\n")
    assert NAME.fullmatch(name), ended.out
    return name


def inspect(socket_path: str, name: str) -> Any:
    return libpod.request(socket_path, "GET", f"containers/{name}/json")


def names(socket_path: str) -> set[str]:
    return set(libpod.containers(socket_path).values())


def rules_of(pid: int) -> str:
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", "nft", "list", "ruleset"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def cgroups(barasync: Barasync) -> set[str]:
    """Return the cgroups of runs of this project: others run beside the test."""
    runs = [path.name for path in (barasync.directory / ".barasync/runs").glob("*")]
    root = Path("/sys/fs/cgroup")
    return {path.name for run in runs for path in root.glob(f"*/barasync-{run}.*")}


# Going on


def test_it_goes_on_under_its_network_rules_with_its_limits_after_the_command_has_ended(
    barasync: Barasync, socket_path: str
) -> None:
    options = ("--network", "private", "--memory", "64m", "--env", "A=b", "--workspace", "none")
    name = name_of(detach(barasync, *options, script='echo "A is $A"; exec sleep 1000'))

    found = inspect(socket_path, name)
    (network,) = found["NetworkSettings"]["Networks"]
    assert found["State"]["Status"] == "running"
    assert found["HostConfig"]["Memory"] == 64 * 1024**2
    assert found["Config"]["Timeout"] == 0
    assert "table inet barasync" in rules_of(found["State"]["Pid"])
    assert network in libpod.networks(socket_path)
    log = Path(found["HostConfig"]["LogConfig"]["Path"]).read_text()
    assert log.endswith("A is b\n")
    assert barasync.result()["cells"][0]["detached"] == name


@pytest.mark.parametrize("network", ["private", "isolated"])
def test_podman_does_not_start_it_again_without_the_rules_of_its_network(
    barasync: Barasync, socket_path: str, network: str
) -> None:
    name = name_of(detach(barasync, "--network", network, "--workspace", "none"))

    for act in ("restart", "start"):
        with pytest.raises(libpod.RefusedError, match="starts-only-once-under-its-network-rules"):
            libpod.request(socket_path, "POST", f"containers/{name}/{act}")
        assert not inspect(socket_path, name)["State"]["Running"]


def test_without_rules_it_may_be_started_again(barasync: Barasync, socket_path: str) -> None:
    name = name_of(detach(barasync, "--network", "none", "--workspace", "none"))

    libpod.request(socket_path, "POST", f"containers/{name}/restart", query={"t": "1"})

    assert inspect(socket_path, name)["State"]["Running"]


def test_clean_and_later_runs_leave_it_alone__and_clean_takes_its_network_when_it_is_gone(
    barasync: Barasync, socket_path: str
) -> None:
    name = name_of(detach(barasync, "--network", "private"))
    (network,) = inspect(socket_path, name)["NetworkSettings"]["Networks"]

    cleaned = [barasync("clean"), barasync("clean", "--all")]
    later = barasync("run", "--workspace", "none", IMAGE, "--", "true")
    lives = inspect(socket_path, name)["State"]["Status"]
    held = network in libpod.networks(socket_path), len(cgroups(barasync))
    libpod.remove_container(socket_path, name)
    after = barasync("clean")
    again = barasync("clean")

    assert [(each.code, name in each.out, network in each.out) for each in cleaned] == [
        (0, False, False)
    ] * 2
    assert (later.code, later.out, later.said) == (0, "", "")
    assert (lives, held) == ("running", (True, 1))
    assert f"network {network} " in after.out
    assert after.code == 0, after.out
    assert network not in libpod.networks(socket_path)
    assert cgroups(barasync) == set()
    # Of runs of others it may tell.
    runs = [path.name for path in (barasync.directory / ".barasync/runs").glob("2*")]
    assert (again.code, [run for run in runs if run in again.out]) == (0, [])


def test_one_that_has_ended_stays_until_somebody_removes_it(
    barasync: Barasync, socket_path: str
) -> None:
    name = name_of(detach(barasync, script="echo said; exit 3"))
    wait_until(lambda: inspect(socket_path, name)["State"]["Status"] == "exited", "it ends")

    cleaned = barasync("clean")

    assert cleaned.code == 0
    assert inspect(socket_path, name)["State"]["ExitCode"] == 3


def test_with_it_goes_what_it_was_in(barasync: Barasync, socket_path: str) -> None:
    before = names(socket_path), libpod.networks(socket_path), cgroups(barasync)
    name, other = [name_of(detach(barasync, "--network", "private")) for _ in "12"]

    first = barasync("container", "remove", "--force", name)
    left = names(socket_path), libpod.networks(socket_path), cgroups(barasync)
    second = barasync("container", "remove", "--force", other)

    assert (first.code, first.out, first.err) == (0, f"{name}: removed\n", "")
    assert (second.code, second.out, second.err) == (0, f"{other}: removed\n", "")
    assert [len(more - less) for more, less in zip(left, before, strict=True)] == [1, 1, 1]
    assert (names(socket_path), libpod.networks(socket_path), cgroups(barasync)) == before


def test_podman_ends_it_after_its_timeout(barasync: Barasync, socket_path: str) -> None:
    name = name_of(detach(barasync, "--timeout", "1"))

    wait_until(lambda: inspect(socket_path, name)["State"]["Status"] == "exited", "it is ended")

    assert inspect(socket_path, name)["State"]["ExitCode"] == -1


def test_it_has_its_volumes_caches_secrets_and_files__and_no_secret_stays_with_podman(
    barasync: Barasync, socket_path: str, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("sesame")
    (tmp_path / "shared").mkdir()
    (barasync.directory / "file").write_text("of the project\n")
    script = (
        "cat /run/secrets/KEY file; touch /cache/x; echo $WORD > /shared/word; echo in `pwd`"
        "; exec sleep 1000"
    )
    options = (
        *("--secret", f"KEY={tmp_path}/key", "--secret", "WORD=env:WORD"),
        *("--volume", f"{tmp_path}/shared:/shared", "--cache", "c:/cache"),
        *("--workspace", "layer"),
    )
    barasync = Barasync(barasync.directory, barasync.url, {**barasync.environ, "WORD": "open"})

    name = name_of(detach(barasync, *options, script=script))

    wait_until((tmp_path / "shared/word").is_file, "it writes to the volume")
    printed = inspect(socket_path, name)["HostConfig"]["LogConfig"]["Path"]
    wait_until(lambda: "in /workspace" in Path(printed).read_text(), "all is printed")
    assert "sesame" in Path(printed).read_text()
    assert "of the project" in Path(printed).read_text()
    assert (tmp_path / "shared/word").read_text() == "open\n"
    assert libpod.request(socket_path, "GET", "secrets/json") == []


def test_it_keeps_its_view_of_the_project_and_what_it_writes_there_for_itself(
    barasync: Barasync, socket_path: str, tmp_path: Path
) -> None:
    (barasync.directory / "file").write_text("first\n")
    (tmp_path / "shared").mkdir()
    script = "echo changed > file; until [ -e /shared/go ]; do sleep 0.1; done; cat file"
    options = ("--workspace", "overlay", "--volume", f"{tmp_path}/shared:/shared")
    name = name_of(detach(barasync, *options, script=script))

    (tmp_path / "shared/go").touch()
    wait_until(lambda: inspect(socket_path, name)["State"]["Status"] == "exited", "it goes on")

    log = Path(inspect(socket_path, name)["HostConfig"]["LogConfig"]["Path"]).read_text()
    assert log.endswith(" changed\n")
    assert (barasync.directory / "file").read_text() == "first\n"


def test_it_goes_on_without_root_too(
    rootless_service: RigService, rootless_busybox: str, tmp_path: Path
) -> None:
    assert rootless_busybox
    socket_path = rootless_service.endpoint.socket_path
    barasync = Barasync(
        tmp_path, rootless_service.endpoint.url, {**os.environ, "NO_COLOR": "1"}, network="private"
    )
    name = name_of(detach(barasync, "--health-cmd", "true", "--wait-healthy"))

    cleaned = barasync("clean")
    lives = inspect(socket_path, name)["State"]["Status"]
    libpod.remove_container(socket_path, name)
    after = barasync("clean")

    assert (cleaned.code, lives) == (0, "running")
    assert re.search(r"^network \S+-private .*: removed$", after.out, re.MULTILINE), after.out


# Health


def test_it_is_let_go_once_it_is_healthy(barasync: Barasync, socket_path: str) -> None:
    health = ("--health-cmd", "test -e /tmp/ready", "--wait-healthy")

    name = name_of(detach(barasync, *health, script="sleep 1; touch /tmp/ready; exec sleep 1000"))

    assert inspect(socket_path, name)["State"]["Health"]["Status"] == "healthy"


@pytest.mark.parametrize(
    ("options", "script", "said"),
    [
        (
            ("--health-cmd", "echo broken; exit 1", "--wait-healthy=5"),
            WAITING,
            (
                "was not healthy within 5 s: its check fails, and prints broken;"
                " it printed last: begun"
            ),
        ),
        (
            (
                *("--health-cmd", '["sh", "-c", "echo broken; false"]', "--wait-healthy"),
                *("--health-interval", "0.2", "--health-retries", "2"),
            ),
            WAITING,
            "is unhealthy: its check fails, and prints broken; it printed last: begun",
        ),
        (
            ("--health-cmd", "exit 1", "--wait-healthy"),
            "echo why; exit 7",
            "ended with exit code 7 before it was healthy; it printed last: why",
        ),
    ],
    ids=["too late", "too often", "ended"],
)
def test_one_that_does_not_become_healthy_ends_with_1_and_leaves_nothing(
    barasync: Barasync, socket_path: str, options: tuple[str, ...], script: str, said: str
) -> None:
    before = names(socket_path), libpod.networks(socket_path), cgroups(barasync)

    ended = detach(barasync, "--network", "private", *options, script=script)

    assert (ended.code, ended.out) == (1, "")
    assert f"barasync: {said}\n" in ended.err
    assert (names(socket_path), libpod.networks(socket_path), cgroups(barasync)) == before


@pytest.mark.usefixtures("no_image_stays")
def test_the_check_of_an_image_is_waited_for(barasync: Barasync, socket_path: str) -> None:
    # With the project's files in a layer on the image.
    barasync.configure("")
    image = libpod.image_with_a_check(socket_path, IMAGE, "test -e /tmp/ready")

    script = "sleep 1; touch /tmp/ready; exec sleep 1000"
    name = name_of(detach(barasync, "--wait-healthy", script=script, image=image))

    assert inspect(socket_path, name)["State"]["Health"]["Status"] == "healthy"
    libpod.remove_container(socket_path, name)


@pytest.mark.usefixtures("no_image_stays")
def test_numbers_alone_are_for_the_check_of_the_image(barasync: Barasync, socket_path: str) -> None:
    # With the project's files in a layer on the image.
    barasync.configure("")
    (barasync.directory / "file").touch()
    image = libpod.image_with_a_check(socket_path, IMAGE, "test -e file && echo broken && false")
    numbers = ("--health-interval", "0.2", "--health-retries", "2", "--health-timeout", "9")

    name = name_of(detach(barasync, *numbers, "--health-start-period", "0.5", image=image))
    ended = detach(barasync, *numbers, "--wait-healthy", image=image)

    assert inspect(socket_path, name)["Config"]["Healthcheck"] == {
        "Test": ["CMD-SHELL", "test -e file && echo broken && false"],
        "Interval": 200_000_000,
        "Timeout": 9_000_000_000,
        "Retries": 2,
        "StartPeriod": 500_000_000,
    }
    assert (ended.code, ended.out) == (1, "")
    assert "barasync: is unhealthy: its check fails, and prints broken; " in ended.err
    libpod.remove_container(socket_path, name)


@pytest.mark.parametrize("options", [("--wait-healthy",), ("--health-retries", "2")])
def test_an_image_without_a_check_has_nothing_to_wait_for_or_to_change(
    barasync: Barasync, socket_path: str, options: tuple[str, ...]
) -> None:
    before = names(socket_path)

    ended = detach(barasync, *options)

    assert (ended.code, ended.out) == (2, "")
    assert f"{IMAGE} has no health check" in ended.err
    assert "--health-cmd" in ended.err
    assert names(socket_path) == before


# Killed


def test_what_a_sigkill_leaves_before_the_container_is_let_go_is_taken_by_clean(
    barasync: Barasync, socket_path: str
) -> None:
    before = names(socket_path), libpod.networks(socket_path), cgroups(barasync)
    words = ("run", "--detach", "--network", "private", "--health-cmd", "false", "--wait-healthy")
    with barasync.running(*words, IMAGE, "--", "sleep", "1000") as process:

        def runs() -> bool:
            new = names(socket_path) - before[0]
            return any(inspect(socket_path, name)["State"]["Running"] for name in new)

        wait_until(runs, "the container runs")
        process.kill()
        process.wait()
    (left,) = names(socket_path) - before[0]

    ended = barasync("clean")

    assert left.endswith("-1")
    assert ended.code == 0, ended.out
    assert f"container {left} " in ended.out
    assert (names(socket_path), libpod.networks(socket_path), cgroups(barasync)) == before


def test_ctrl_c_while_it_is_waited_for_leaves_nothing(barasync: Barasync, socket_path: str) -> None:
    before = names(socket_path), libpod.networks(socket_path), cgroups(barasync)
    words = ("run", "--detach", "--health-cmd", "false", "--wait-healthy")
    with barasync.running(*words, IMAGE, "--", "sleep", "1000") as process:

        def checked() -> bool:
            new = names(socket_path) - before[0]
            return any(inspect(socket_path, name)["State"]["Health"]["Log"] for name in new)

        wait_until(checked, "its health is waited for")
        process.send_signal(signal.SIGINT)
        code = process.wait(60)

    assert code == 130
    assert (names(socket_path), libpod.networks(socket_path), cgroups(barasync)) == before


def test_a_command_that_is_not_there_ends_with_127_and_leaves_nothing(
    barasync: Barasync, socket_path: str
) -> None:
    before = names(socket_path)

    ended = barasync("run", "--detach", IMAGE, "--", "no-such-command")

    assert (ended.code, ended.out) == (127, "")
    assert names(socket_path) == before


# Over a private service


def test_it_goes_on_without_the_private_service_that_made_it(
    installation: Installation, tmp_path: Path
) -> None:
    with own_host(installation) as host:
        host.import_busybox(OWN_IMAGE)
        barasync = Barasync(tmp_path, None, {**os.environ, **host.environ, "NO_COLOR": "1"})
        try:
            health = (
                "--health-cmd",
                "test -e /tmp/ready",
                "--wait-healthy",
                "--network",
                "private",
            )
            script = "sleep 1; touch /tmp/ready; exec sleep 1000"
            name = name_of(detach(barasync, *health, script=script, image=OWN_IMAGE))

            cleaned = barasync("clean")
            checked = host.podman("exec", name, "cat", "/proc/1/cmdline")
            listed = host.podman("ps", "--format", "{{.Names}}").split()
        finally:
            host.podman("rm", "--all", "--force", "--time", "0")
        after = barasync("clean")

    assert cleaned.code == 0, cleaned.out + cleaned.err
    assert name not in cleaned.out
    assert checked == "sleep\x001000\x00"
    assert listed == [name]
    assert re.search(r"^network \S+-private .*: removed$", after.out, re.MULTILINE), after.out
