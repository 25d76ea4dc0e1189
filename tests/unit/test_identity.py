"""Whose container is this, and does its process still live?"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from barasync.engine.identity import Identity, Liveness, of_maker, start_time

ME = Identity(host="here", boot="b1", namespace="1", pid=100, start=5000)


def labels_of(identity: Identity) -> dict[str, str]:
    return identity.labels("20261123-1200-abcd")


def of_cgroup(identity: Identity) -> dict[str, str]:
    labels = ME.of_cgroup(identity.cgroup("20261123-1200-abcd"))
    assert labels is not None
    return labels


def test_a_cgroup_tells_its_run_and_whether_that_lives() -> None:
    assert of_cgroup(ME)["barasync.run"] == "20261123-1200-abcd"
    assert ME.judge(of_cgroup(ME), {100: 5000}.get) is Liveness.ALIVE
    assert ME.judge(of_cgroup(ME), {100: 5001}.get) is Liveness.DEAD
    assert ME.of_cgroup("barasync-of-somebody-else") is None


def test_a_cgroup_of_another_pid_namespace_cannot_be_judged() -> None:
    assert ME.judge(of_cgroup(replace(ME, namespace="2")), {}.get) is Liveness.UNKNOWN


def test_an_image_tells_who_made_it_and_not_who_owns_what_is_made_from_it() -> None:
    labels = ME.maker_labels("20261123-1200-abcd")

    assert not labels.keys() & labels_of(ME).keys()
    assert of_maker({**labels, "barasync.kind": "workspace"}) == labels_of(ME)
    assert of_maker({"barasync.kind": "workspace"}) == {}


def test_the_labels_carry_the_run() -> None:
    assert labels_of(ME)["barasync.run"] == "20261123-1200-abcd"


def test_a_process_with_the_same_start_time_is_alive() -> None:
    assert ME.judge(labels_of(ME), {100: 5000}.get) is Liveness.ALIVE


def test_a_recycled_pid_is_dead() -> None:
    assert ME.judge(labels_of(ME), {100: 5001}.get) is Liveness.DEAD


def test_a_missing_process_is_dead() -> None:
    assert ME.judge(labels_of(ME), {}.get) is Liveness.DEAD


def test_a_process_before_the_last_boot_is_dead() -> None:
    assert ME.judge(labels_of(replace(ME, boot="b0")), {100: 5000}.get) is Liveness.DEAD


def test_a_process_of_another_host_cannot_be_judged() -> None:
    assert ME.judge(labels_of(replace(ME, host="there")), {}.get) is Liveness.UNKNOWN


def test_a_process_of_another_pid_namespace_cannot_be_judged() -> None:
    assert ME.judge(labels_of(replace(ME, namespace="2")), {}.get) is Liveness.UNKNOWN


def test_damaged_labels_cannot_be_judged() -> None:
    assert ME.judge({**labels_of(ME), "barasync.pid": "x"}, {}.get) is Liveness.UNKNOWN
    assert ME.judge({}, {}.get) is Liveness.UNKNOWN


def test_this_process_judges_itself_alive() -> None:
    current = Identity.current()

    assert current.judge(labels_of(current), start_time) is Liveness.ALIVE


def test_an_ended_process_has_no_start_time_even_as_a_zombie() -> None:
    with subprocess.Popen(["true"]) as process:
        # Waits for the exit and leaves the zombie for Popen to reap.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        assert start_time(process.pid) is None
    assert start_time(process.pid) is None


def test_a_process_that_proc_hides_is_neither_there_nor_gone(tmp_path: Path) -> None:
    with pytest.raises(PermissionError):
        start_time(os.getpid(), proc=tmp_path)


def test_a_process_that_proc_hides_cannot_be_judged(tmp_path: Path) -> None:
    current = Identity.current()

    judged = current.judge(labels_of(current), lambda pid: start_time(pid, proc=tmp_path))

    assert judged is Liveness.UNKNOWN


def test_machines_of_one_name_are_told_apart() -> None:
    """As far as they have an ID: the ID itself stays secret."""
    machine_id = Path("/etc/machine-id")
    host = Identity.current().host

    assert host.startswith(os.uname().nodename)
    if machine_id.exists():
        assert host != os.uname().nodename
        assert machine_id.read_text().strip() not in host
