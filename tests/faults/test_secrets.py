"""A service that keeps or removes no secret: the run says so, or does not begin."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.fake.faults import Dies, Fault, Hangs, Refuses
from tests.fake.service import FakeService
from tests.rig.command import Barasync, Ended
from tests.rig.waiting import wait_until

TOKEN = "hunter2-0123456789"


def run(
    service: FakeService, directory: Path, script: str = 'echo "<$TOKEN>"', *options: str
) -> Ended:
    environ = {**os.environ, "NO_COLOR": "1", "CI_TOKEN": TOKEN}
    barasync = Barasync(directory, service.endpoint.url, environ)
    image = service.image("localhost/cell")
    secret = ("--secret", "TOKEN=env:CI_TOKEN", *options)
    return barasync("run", image, *secret, "--", "sh", "-c", script)


def test_a_secret_is_there_for_the_cell_and_then_removed(
    service: FakeService, tmp_path: Path
) -> None:
    ended = run(service, tmp_path)

    assert (ended.code, ended.out) == (0, "<***>\n"), ended.err
    assert service.secrets == []


def test_a_secret_that_is_not_removed_is_said(service: FakeService, tmp_path: Path) -> None:
    service.inject(Fault("secret-delete", Refuses("disk full")))

    ended = run(service, tmp_path, 'echo "<$TOKEN>"; exit 3')

    (left,) = service.secrets
    assert (ended.code, ended.out) == (3, "<***>\n")
    assert f"barasync: secret {left} could not be removed: disk full" in ended.err
    assert f"`podman secret rm {left}`, or later `barasync clean`" in ended.err
    assert TOKEN not in ended.err


def test_a_secret_that_is_not_removed_is_no_success(service: FakeService, tmp_path: Path) -> None:
    service.inject(Fault("secret-delete", Refuses("disk full")))

    ended = run(service, tmp_path)

    (left,) = service.secrets
    assert ended.code == 125
    assert ended.err.count(f"secret {left} could not be removed") == 1


@pytest.mark.parametrize("script", ["true", "exit 3"])
def test_the_record_says_that_a_secret_was_not_removed(
    service: FakeService, tmp_path: Path, script: str
) -> None:
    service.inject(Fault("secret-delete", Refuses("disk full")))

    run(service, tmp_path, script)

    (left,) = service.secrets
    record = tmp_path / ".barasync" / "runs" / "latest"
    finished = json.loads((record / "events.jsonl").read_text().splitlines()[-1])
    result = json.loads((record / "result.json").read_text())
    for said in (finished, result):
        assert said["exit_code"] == 1
        assert f"secret {left} could not be removed" in said["problem"]


def test_a_signal_while_secrets_are_removed_takes_nothing_from_what_the_run_came_to(
    service: FakeService, tmp_path: Path
) -> None:
    service.inject(Fault("secret-delete", Hangs(performed=True, seconds=1), times=1))
    environ = {**os.environ, "NO_COLOR": "1", "CI_TOKEN": TOKEN}
    barasync = Barasync(tmp_path, service.endpoint.url, environ)
    words = ("--secret", "TOKEN=env:CI_TOKEN", "--", "true")

    with barasync.running("run", service.image("localhost/cell"), *words) as process:
        wait_until(lambda: "secret-delete" in service.requests, "a secret on its way out")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=40)

    assert process.returncode == 0, said.decode()
    assert barasync.result()["exit_code"] == 0
    assert service.secrets == []


def test_a_run_that_cannot_look_for_what_is_left_is_no_success(
    service: FakeService, tmp_path: Path
) -> None:
    # The first two looks are for what other runs and builds have left.
    service.inject(Fault("list", Refuses("database is locked"), skip=2))

    ended = run(service, tmp_path)

    assert (ended.code, ended.out) == (125, "<***>\n")
    assert "what the run left on the service is not known" in ended.err


def test_without_its_secret_no_cell_begins(service: FakeService, tmp_path: Path) -> None:
    service.inject(Fault("secret-create", Refuses("disk full")))

    ended = run(service, tmp_path)

    assert (ended.code, ended.out) == (4, "")
    assert "disk full" in ended.err
    assert "create" not in service.requests
    assert TOKEN not in ended.err


def test_what_is_left_of_a_run_that_did_not_begin_is_said(
    service: FakeService, tmp_path: Path
) -> None:
    service.inject(Fault("secret-create", Refuses("disk full"), skip=1))
    service.inject(Fault("secret-delete", Refuses("read-only"), skip=1))

    ended = run(service, tmp_path, "true", "--secret", "HOME=env:HOME")

    assert ended.code == 4
    assert "-2 could not be removed: read-only" in ended.err
    assert "-1 could not" not in ended.err
    assert "disk full" in ended.err


@pytest.mark.parametrize("performed", [False, True])
def test_a_service_that_dies_over_a_removal_removes_it_once_it_is_back(
    service: FakeService, tmp_path: Path, performed: bool
) -> None:
    dies = Dies(performed=performed, comes_back=True)
    service.inject(Fault("secret-delete", dies, times=1))

    ended = run(service, tmp_path)

    assert (ended.code, ended.out) == (0, "<***>\n"), ended.err
    assert "could not be removed" not in ended.err
    assert service.secrets == []
