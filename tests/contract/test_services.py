"""Services beside cells on real podmans, as a person uses them."""

from __future__ import annotations

import io
import os
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until
from tests.rig.services import RigService
from tests.rig.waiting import wait_until

NATIVE = native_architecture()
FOREIGN = "arm64" if NATIVE != "arm64" else "amd64"
BASE = f"localhost/busybox:{NATIVE}"
SERVES = "mkdir /www; echo $CONTENT >/www/x; echo serving; exec httpd -f -v -p 8000 -h /www"
FORWARDS = "mkdir /got; wget -q -O /got/x http://web:8000/x; exec httpd -f -p 9000 -h /got"
READY = 'ready = "wget -q -O /dev/null http://127.0.0.1:8000/x"'
SERVICES = f"""
[[defaults.services]]
image = "{BASE}"
name = "web"
command = ["sh", "-c", "{SERVES}"]
env = {{ CONTENT = "hello" }}
{READY}
"""


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    """The command line in an empty project."""
    assert busybox
    project = tmp_path / "project"
    project.mkdir()
    return Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


def containers(service: RigService) -> dict[str, str]:
    return libpod.containers(service.endpoint.socket_path)


def configure(barasync: Barasync, script: str, network: str = "local", more: str = "") -> None:
    """Make the cells run a script beside the service `web`."""
    barasync.configure(
        f"""
        [defaults]
        image = "{BASE}"
        command = ["sh", "-c", '''{script}''']
        workspace = "none"
        timeout = 60
        network = "{network}"
        {SERVICES if "services" not in more else ""}
        {more}
        """
    )


@pytest.mark.parametrize("network", ["none", "local", "private", "bridge"])
def test_a_cell_finds_its_service_by_name_whatever_its_network(
    barasync: Barasync, network: str
) -> None:
    configure(barasync, "wget -q -O - http://web:8000/x", network)

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log(NATIVE) == "hello\n"
    log = barasync.log(NATIVE, "services/web.log")
    assert log.startswith("serving\n")
    assert log.count("response:200") >= 2


@pytest.mark.parametrize("network", ["none", "local"])
def test_a_service_that_listens_late_is_waited_for_and_not_disturbed(
    barasync: Barasync, network: str
) -> None:
    """It has no program to ask it with, and serves one connection, which is the cell's."""
    listens = f"""
        [[defaults.services]]
        image = "{BASE}"
        name = "db"
        command = ["sh", "-c", "sleep 1; echo hello | nc -l -p 5432; sleep 1000"]
        ready = "5432/tcp"
        """
    configure(barasync, "nc -w 5 db 5432 </dev/null", network, more=SERVICES + listens)

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log(NATIVE) == "hello\n"


@pytest.mark.usefixtures("no_image_stays")
def test_a_service_is_ready_once_the_health_check_of_its_image_passes(
    barasync: Barasync, service: RigService
) -> None:
    image = libpod.image_with_a_check(service.endpoint.socket_path, BASE, "test -e /www/x")
    web = f"""
        [[defaults.services]]
        image = "{image}"
        name = "web"
        command = ["sh", "-c", "sleep 1; {SERVES}"]
        env = {{ CONTENT = "checked" }}
        ready = "healthy"
        """
    # The check passes with the file, and the server is there a moment later.
    script = "until wget -q -O - http://web:8000/x; do sleep 0.1; done"
    configure(barasync, script, more=web)

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log(NATIVE) == "checked\n"
    assert barasync.result()["cells"][0]["phases"]["services"] > 1


def test_a_service_whose_image_has_no_health_check_cannot_be_healthy(barasync: Barasync) -> None:
    web = f"""
        [[defaults.services]]
        image = "{BASE}"
        name = "web"
        command = ["sleep", "1000"]
        ready = "healthy"
        """
    configure(barasync, "true", more=web)

    ended = barasync("matrix", "tests")

    assert ended.code == 1
    (cell,) = barasync.result()["cells"]
    assert cell["status"] == "infrastructure_error"
    assert f"{BASE} has no health check" in cell["reason"]


def test_a_native_service_runs_beside_an_emulated_cell(
    barasync: Barasync, busybox_for: Callable[[str], str]
) -> None:
    tells = SERVES.replace("$CONTENT", "$(uname -m)")
    web = f"""
        [[defaults.services]]
        image = "{BASE}"
        name = "web"
        arch = "native"
        command = ["sh", "-c", "{tells}"]
        ready = "8000/tcp"
        """
    configure(barasync, "uname -m; wget -q -O - http://web:8000/x", more=web)

    ended = barasync("matrix", "tests", "--arch", FOREIGN, "--image", busybox_for(FOREIGN))

    assert ended.code == 0, ended.out + ended.err
    foreign, native = barasync.log(FOREIGN).splitlines()
    assert foreign != native == os.uname().machine


@pytest.mark.parametrize("network", ["none", "local", "private"])
def test_a_cell_finds_its_service_without_root_too(
    rootless_service: RigService, rootless_busybox: str, tmp_path: Path, network: str
) -> None:
    assert rootless_busybox
    url = rootless_service.endpoint.url
    barasync = Barasync(tmp_path, url, {**os.environ, "NO_COLOR": "1"})
    configure(barasync, "wget -q -O - http://web:8000/x", network)

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log(NATIVE) == "hello\n"
    assert barasync.log(NATIVE, "services/web.log").startswith("serving\n")
    assert containers(rootless_service) == {}


def test_services_are_started_in_their_order_and_know_each_other(barasync: Barasync) -> None:
    configure(
        barasync,
        "wget -q -O - http://db:9000/x",
        more=SERVICES
        + f"""
        [[defaults.services]]
        image = "{BASE}"
        name = "db"
        command = ["sh", "-c", "{FORWARDS}"]
        ready = "wget -q -O /dev/null http://db:9000/x"
        """,
    )

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log(NATIVE) == "hello\n"


def test_cells_at_the_same_time_have_services_of_their_own(barasync: Barasync) -> None:
    """Each waits until the other one runs: its service has the same name and the same port."""
    (barasync.directory / "shared").mkdir()
    script = """
    touch /shared/$BARASYNC_CONFIG
    until test -e /shared/a && test -e /shared/b; do sleep 0.1; done
    wget -q -O - http://web:8000/x
    """
    more = f"""
        volumes = ["./shared:/shared"]
        [matrix]
        config = ["a", "b"]
        [config.a]
        services = [{{ {entry("first")} }}]
        [config.b]
        services = [{{ {entry("second")} }}]
        """
    configure(barasync, script, "private", more)

    ended = barasync("matrix", "tests", "--jobs", "2")

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log(f"{NATIVE}-a") == "first\n"
    assert barasync.log(f"{NATIVE}-b") == "second\n"


def entry(content: str) -> str:
    return (
        f'image = "{BASE}", name = "web", command = ["sh", "-c", "{SERVES}"],'
        f' env = {{ CONTENT = "{content}" }},'
        f" {READY}"
    )


def test_two_services_on_one_port_are_said_with_what_the_second_one_printed(
    barasync: Barasync,
) -> None:
    # The check of the first one would pass in the second as well.
    second = SERVICES.replace('"web"', '"other"').replace(READY, 'ready = "false"')
    configure(barasync, "echo ran", more=SERVICES + second)

    ended = barasync("matrix", "tests")

    assert ended.code == 1
    (cell,) = barasync.result()["cells"]
    assert cell["status"] == "infrastructure_error"
    assert cell["reason"].startswith("service 'other' ended with exit code 1 before it was ready;")
    assert "Address already in use" in cell["reason"]
    assert cell["hint"].startswith("the services of a cell share its ports")
    assert barasync.log(NATIVE, "services/other.log").startswith("serving\n")


def test_the_policy_of_a_cell_holds_for_its_services(barasync: Barasync) -> None:
    """What a service sends before it is ready is refused, and counted for the cell."""
    knocks = SERVICES.replace("echo serving", "nc -w 5 198.51.100.9 4443; echo $?")
    more = """
        [network.counted]
        base = "private"
        log = true
        """
    configure(barasync, "wget -q -O - http://web:8000/x", "counted", knocks + more)

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    (cell,) = barasync.result()["cells"]
    assert [(one["address"], one["port"]) for one in cell["refused"]] == [("198.51.100.9", 4443)]
    # What nc says of it goes to the other stream.
    assert "1" in barasync.log(NATIVE, "services/web.log").splitlines()


def test_a_cell_that_would_get_another_namespace_is_not_started(
    barasync: Barasync, service: RigService
) -> None:
    """Podman starts an owner that was killed anew with whatever joins it: without rules."""
    waits = SERVICES.replace('8000/x"', '8000/go"')
    configure(barasync, "echo ran", more=waits)
    socket_path = service.endpoint.socket_path

    with barasync.running("matrix", "tests") as process:
        wait_until(lambda: serves(barasync), "the service has said that it serves")
        ids = {name.rpartition("-")[2]: one for one, name in containers(service).items()}
        libpod.request(socket_path, "POST", f"containers/{ids['beside']}/kill")
        libpod.request(socket_path, "POST", f"containers/{ids['beside']}/wait")
        query = {"path": "/www"}
        libpod.request(
            socket_path, "PUT", f"containers/{ids['web']}/archive", query=query, body=one_file("go")
        )
        out, err = process.communicate(timeout=40)

    assert process.returncode != 0, (out + err).decode()
    assert barasync.statuses() == {NATIVE: "infrastructure_error"}
    assert barasync.log(NATIVE) == ""


def serves(barasync: Barasync) -> bool:
    """Whether the service `web` of a cell has begun."""
    logs = barasync.directory.glob(".barasync/runs/*/cells/*/services/web.log")
    return any("serving" in log.read_text() for log in logs)


def one_file(name: str) -> bytes:
    """An archive of an empty file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def test_a_service_without_an_image_is_an_image_that_is_missing(barasync: Barasync) -> None:
    configure(barasync, "echo ran", more='services = [{ image = "localhost/nothing", name = "a" }]')

    ended = barasync("matrix", "tests", "--pull", "never")

    assert ended.code == 5
    assert "localhost/nothing" in ended.out + ended.err


def test_an_interruption_leaves_nothing(barasync: Barasync) -> None:
    configure(barasync, "echo ready; sleep 1000")

    with barasync.running("matrix", "tests") as process:
        read_until(process, "| ready", 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)

    assert process.returncode == 130, (out + err).decode()


def test_an_interruption_while_a_service_is_not_ready_leaves_nothing(barasync: Barasync) -> None:
    configure(barasync, "echo ran", more=SERVICES.replace("wget -q", "sleep 1000; wget -q"))

    with barasync.running("matrix", "tests") as process:
        wait_until(lambda: serves(barasync), "the service has said that it serves")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)

    assert process.returncode == 130, (out + err).decode()


@pytest.mark.whole_host
def test_clean_removes_what_a_killed_run_left_beside_its_cell(
    barasync: Barasync, service: RigService
) -> None:
    configure(barasync, "echo ready; sleep 1000", "private")

    with barasync.running("matrix", "tests") as process:
        read_until(process, "| ready", 1)
        process.kill()
    left = containers(service)
    ended = barasync("clean")

    assert len(left) == 3
    assert ended.code == 0, ended.out + ended.err
    assert containers(service) == {}, ended.out + ended.err
