"""Whose container is this, and does its process still live?"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

from barasync.engine.identity import Identity, Liveness, run_of_cgroup, start_time

ME = Identity(host="here", boot="b1", namespace="pid:[1]", pid=100, start=5000)


def labels_of(identity: Identity) -> dict[str, str]:
    return identity.labels("20261123-1200-abcd")


def test_a_cgroup_tells_its_run_and_whether_that_lives() -> None:
    name = ME.cgroup("20261123-1200-abcd")

    assert run_of_cgroup(name, {100: 5000}.get) == ("20261123-1200-abcd", Liveness.ALIVE)
    assert run_of_cgroup(name, {100: 5001}.get) == ("20261123-1200-abcd", Liveness.DEAD)
    assert run_of_cgroup("barasync-of-somebody-else", {}.get) is None


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
    assert ME.judge(labels_of(replace(ME, namespace="pid:[2]")), {}.get) is Liveness.UNKNOWN


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
