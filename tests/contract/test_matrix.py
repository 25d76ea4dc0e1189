"""`barasync matrix` and `barasync run` on real podman, as a person uses them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until
from tests.rig.services import RigService

NATIVE = native_architecture()


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    """The command line in an empty project whose cells are of busybox."""
    project = tmp_path / "project"
    project.mkdir()
    command = Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    command.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "rule", "{{rule}}", "{{args}}"]
        timeout = 60
        [matrix]
        config = ["debug", "release"]
        """
    )
    return command


def rule(barasync: Barasync, script: str) -> None:
    """Write the project's one file, a shell script that every cell runs."""
    (barasync.directory / "rule").write_text(script)


@pytest.mark.parametrize(
    "times", [2, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_the_output_of_20_quick_cells_is_complete_and_in_order_every_time(
    barasync: Barasync, busybox: str, times: int
) -> None:
    """Every cell prints 20 lines to each stream; a run has as many cells as all times together."""
    cells = [f"c{number}" for number in range(20 * times)]
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "-c", "for i in $(seq 20); do echo {{config}} $i; echo $i >&2; done"]
        workspace = "none"
        [matrix]
        config = {json.dumps(cells)}
        """
    )
    with replace(barasync, timeout=850).running("matrix", "tests", "--jobs", "8") as process:
        out, err = process.communicate(timeout=850)
    assert process.returncode == 0, (out + err).decode()

    shown: dict[str, list[str]] = {}
    for line in out.decode().splitlines():
        label, bar, text = line.partition(" | ")
        if bar:
            shown.setdefault(label.strip(), []).append(text)
    numbers = [str(number) for number in range(1, 21)]
    for cell in cells:
        stdout = [f"{cell} {number}" for number in numbers]
        name = f"{NATIVE}-{cell}"
        assert barasync.log(name, "stdout.log").splitlines() == stdout
        assert barasync.log(name, "stderr.log").splitlines() == numbers
        together = barasync.log(name).splitlines()
        assert [line for line in together if " " in line] == stdout
        assert [line for line in together if " " not in line] == numbers
        assert shown[name] == together


def test_every_cell_runs_the_rule_with_its_arguments_and_its_own_environment(
    barasync: Barasync,
) -> None:
    rule(barasync, 'echo "$1 $2 $BARASYNC_CELL $BARASYNC_ARCH $BARASYNC_CONFIG $(pwd)"')
    ended = barasync("matrix", "tests", "quick")

    assert ended.code == 0, ended.err
    for config in ("debug", "release"):
        cell = f"{NATIVE}-{config}"
        line = f"tests quick {cell} {NATIVE} {config} /workspace"
        assert f"{cell:<{len(NATIVE) + 8}} | {line}\n" in ended.out
        assert barasync.log(cell) == f"{line}\n"
    assert "2 passed" in ended.out


def test_the_record_tells_the_run(barasync: Barasync) -> None:
    rule(barasync, "echo out; echo err >&2")
    barasync("matrix", "tests")
    cell = f"{NATIVE}-debug"

    result = barasync.result()
    assert barasync.statuses() == {cell: "passed", f"{NATIVE}-release": "passed"}
    first = result["cells"][0]
    assert first["output"] == {"stdout_bytes": 4, "stderr_bytes": 4, "complete": True}
    assert first["usage"]["exact"]
    assert first["usage"]["peak_memory_bytes"] > 0
    assert {*("queue", "image", "workspace", "create", "start", "run", "remove")} == first[
        "phases"
    ].keys()
    assert barasync.log(cell, "stdout.log") == "out\n"
    assert barasync.log(cell, "stderr.log") == "err\n"
    lines = (barasync.record() / "events.jsonl").read_text().splitlines()
    names = [json.loads(line)["event"] for line in lines]
    assert (names[0], names[-1]) == ("run.started", "run.finished")
    assert names.count("cell.finished") == 2


def test_a_failing_cell_fails_the_run_and_the_others_go_on(barasync: Barasync) -> None:
    rule(barasync, 'echo last words; test "$BARASYNC_CONFIG" = release || exit 3')
    ended = barasync("matrix", "tests", "--jobs", "1")

    assert ended.code == 1
    assert barasync.statuses() == {f"{NATIVE}-debug": "failed", f"{NATIVE}-release": "passed"}
    assert barasync.result()["cells"][0]["exit_code"] == 3
    assert "exit code 3" in ended.out
    assert "1 failed, 1 passed" in ended.out


def test_fail_fast_stops_at_the_first_failure(barasync: Barasync) -> None:
    rule(barasync, "exit 3")
    ended = barasync("matrix", "tests", "--jobs", "1", "--fail-fast")

    assert ended.code == 1
    assert barasync.statuses() == {f"{NATIVE}-debug": "failed", f"{NATIVE}-release": "cancelled"}


def test_fail_fast_ends_cells_that_run(barasync: Barasync) -> None:
    rule(barasync, 'test "$BARASYNC_CONFIG" = release && exit 3; sleep 1000')
    ended = barasync("matrix", "tests", "--jobs", "2", "--fail-fast")

    assert ended.code == 1
    assert barasync.statuses() == {f"{NATIVE}-debug": "cancelled", f"{NATIVE}-release": "failed"}


def test_a_rule_that_does_not_exist_ends_with_127_and_a_hint(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure(f'[defaults]\nimage = "{busybox}"\n')
    ended = barasync("matrix", "tests")

    assert ended.code == 1
    assert barasync.result()["cells"][0]["exit_code"] == 127
    assert "is `bar` in the image" in ended.out


def test_artifacts_come_back_from_passed_and_failed_cells(barasync: Barasync) -> None:
    rule(
        barasync,
        "mkdir -p out/deep; echo $BARASYNC_CONFIG >out/deep/name; echo log >test.log;"
        "test $BARASYNC_CONFIG = release",
    )
    ended = barasync("matrix", "tests", "--artifact", "out", "--artifact", "/workspace/test.log")

    assert ended.code == 1
    for config in ("debug", "release"):
        artifacts = barasync.record() / "artifacts" / f"{NATIVE}-{config}"
        assert (artifacts / "out" / "deep" / "name").read_text() == f"{config}\n"
        assert (artifacts / "test.log").read_text() == "log\n"


def test_the_manifest_of_a_cell_has_the_digests_of_its_artifacts(barasync: Barasync) -> None:
    rule(barasync, "mkdir out; head -c 100000 /dev/urandom >out/app; chmod 750 out/app")
    ended = barasync("matrix", "tests", "--artifact", "out/a*", "--config", "debug")

    assert ended.code == 0, ended.out
    (cell,) = barasync.result()["cells"]
    manifest = json.loads((barasync.record() / cell["manifest"]).read_text())
    content = (Path(manifest["directory"]) / "out/app").read_bytes()
    assert manifest["entries"][1:] == [
        {
            "path": "out/app",
            "kind": "file",
            "mode": "0750",
            "size": 100_000,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    ]


def test_artifacts_of_failed_cells_alone(barasync: Barasync) -> None:
    rule(barasync, "echo log >test.log; test $BARASYNC_CONFIG = release")
    ended = barasync("matrix", "tests", "--artifact", "test.log", "--artifacts-on", "failed")

    assert ended.code == 1
    assert [path.name for path in (barasync.record() / "artifacts").iterdir()] == [
        f"{NATIVE}-debug"
    ]


def test_no_artifact_of_many_quick_cells_is_cut_off(barasync: Barasync) -> None:
    rule(barasync, "mkdir out; seq 1000 >out/numbers; echo log >test.log")
    configs = ",".join(f"c{number}" for number in range(24))
    config = (barasync.directory / "barasync.toml").read_text()
    barasync.configure(config.replace('config = ["debug", "release"]', ""))
    words = ("--config", configs, "--jobs", "8", "--artifact", "out", "--artifact", "test.log")
    ended = barasync("matrix", "tests", *words, "--output", "quiet")

    assert ended.code == 0, ended.out
    for artifacts in (barasync.record() / "artifacts").iterdir():
        assert (artifacts / "out" / "numbers").read_text().endswith("\n1000\n")


def test_a_missing_artifact_of_a_cell_that_passed_is_not_a_success(barasync: Barasync) -> None:
    rule(barasync, "true")
    ended = barasync("matrix", "tests", "--artifact", "nope", "--config", "debug")

    assert ended.code == 1
    assert barasync.statuses() == {f"{NATIVE}-debug": "artifacts_incomplete"}
    assert "/workspace/nope is not in the container" in ended.out


def test_cells_cannot_disturb_each_other_or_the_project(barasync: Barasync) -> None:
    rule(barasync, 'test ! -e made || exit 1; echo "$BARASYNC_CONFIG" >made; cat made')
    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out
    assert not (barasync.directory / "made").exists()


def test_a_cell_of_another_architecture_runs_emulated(
    barasync: Barasync, busybox_for: Callable[[str], str]
) -> None:
    barasync.configure(
        f"""
        [defaults]
        command = ["sh", "-c", "uname -m"]
        [matrix]
        include = [
          {{ arch = "arm64", image = "{busybox_for("arm64")}" }},
          {{ arch = "riscv64", image = "{busybox_for("riscv64")}" }},
        ]
        """
    )
    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log("arm64") == "aarch64\n"
    assert barasync.log("riscv64") == "riscv64\n"


def test_a_local_image_of_another_architecture_is_refused_by_both_names(
    barasync: Barasync, busybox_for: Callable[[str], str]
) -> None:
    rule(barasync, "true")
    ended = barasync("matrix", "tests", "--image", busybox_for("arm64"), "--arch", NATIVE)

    assert ended.code == 5
    assert set(barasync.statuses().values()) == {"wrong_platform"}
    assert "linux/arm64" in ended.out
    assert f"linux/{NATIVE}" in ended.out


def test_an_image_that_is_not_there_ends_with_5(barasync: Barasync) -> None:
    rule(barasync, "true")
    ended = barasync("matrix", "tests", "--image", "localhost/nope:latest")

    assert ended.code == 5
    assert "there is no image localhost/nope:latest" in ended.out


def test_a_cell_that_runs_too_long_is_killed_and_timed_out(barasync: Barasync) -> None:
    rule(barasync, "trap '' TERM; echo begun; sleep 1000")
    ended = barasync("matrix", "tests", "--timeout", "1", "--config", "debug")

    assert ended.code == 1
    cell = barasync.result()["cells"][0]
    assert cell["status"] == "timed_out"
    assert "ran longer than 1 s" in cell["reason"]
    assert cell["phases"]["run"] < 3
    assert barasync.log(cell["id"]) == "begun\n"


def test_a_cell_that_reaches_its_memory_limit_is_out_of_memory(barasync: Barasync) -> None:
    rule(barasync, "exec tail /dev/zero")
    ended = barasync("matrix", "tests", "--memory", "24m", "--config", "debug")

    assert ended.code == 1
    cell = barasync.result()["cells"][0]
    assert cell["status"] == "out_of_memory"
    assert "24 MiB" in cell["reason"]


def test_cpus_and_pids_are_limited_inside(barasync: Barasync) -> None:
    rule(
        barasync,
        "cd /sys/fs/cgroup; cat cpu/cpu.cfs_quota_us pids/pids.max 2>/dev/null "
        "|| cat cpu.max pids.max",
    )
    ended = barasync("matrix", "tests", "--cpus", "0.5", "--pids", "77", "--config", "debug")

    assert ended.code == 0, ended.out
    quota, pids = barasync.log(f"{NATIVE}-debug").split("\n")[:2]
    assert quota.startswith("50000")
    assert pids == "77"


def test_a_cell_has_the_capability_that_it_asks_for_and_keeps_the_others(
    barasync: Barasync,
) -> None:
    rule(barasync, "grep CapEff /proc/self/status")

    def capabilities(*words: str) -> int:
        ended = barasync("matrix", "tests", "--config", "debug", *words)
        assert ended.code == 0, ended.err
        return int(barasync.log(f"{NATIVE}-debug").split()[1], 16)

    usual = capabilities()

    assert capabilities("--cap-add", "cap_syslog") == usual | 1 << 34


def test_without_a_network_a_cell_has_the_loopback_interface_alone(barasync: Barasync) -> None:
    rule(barasync, "ls /sys/class/net")
    barasync("matrix", "tests", "--config", "debug", "--network", "none")

    assert barasync.log(f"{NATIVE}-debug") == "lo\n"


def test_volumes_are_mounted_relative_to_the_project(barasync: Barasync) -> None:
    (barasync.directory / "data").mkdir()
    (barasync.directory / "data" / "file").write_text("from the host")
    rule(barasync, "cat /mnt/file; touch /mnt/no 2>&1")
    ended = barasync("matrix", "tests", "--volume", "./data:/mnt:ro", "--config", "debug")

    assert ended.code == 1
    assert "from the host" in barasync.log(f"{NATIVE}-debug")
    assert "Read-only" in barasync.log(f"{NATIVE}-debug")


def test_run_passes_output_and_exit_code_through(barasync: Barasync, busybox: str) -> None:
    ended = barasync("run", busybox, "--", "sh", "-c", "printf out; printf err >&2; exit 3")

    assert (ended.code, ended.out, ended.said) == (3, "out", "err")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--", "true"), 0),
        (("--", "nope"), 127),
        (("--", "sh", "-c", "exit 137"), 137),
        (("--timeout", "1", "--", "sleep", "1000"), 124),
        (("--memory", "24m", "--", "tail", "/dev/zero"), 137),
        (("--volume", "/nope/nope:/mnt", "--", "true"), 125),
    ],
)
def test_run_ends_as_podman_and_coreutils_do(
    barasync: Barasync, busybox: str, words: tuple[str, ...], code: int
) -> None:
    ended = barasync("run", busybox, *words)

    assert ended.code == code, ended.err


def test_a_reader_that_goes_away_does_not_fail_the_run(barasync: Barasync) -> None:
    rule(barasync, "seq 100000")
    with barasync.running("matrix", "tests", "--output", "stream") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        code = process.wait(50)
        assert process.stderr is not None
        errors = process.stderr.read().decode()

    assert code == 0
    assert "BrokenPipe" not in errors
    assert barasync.log(f"{NATIVE}-debug").splitlines()[-1] == "100000"


def test_a_verbose_log_that_nobody_reads_holds_nothing_up(barasync: Barasync) -> None:
    rule(barasync, "echo done")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while os.write(writer, bytes(4096)):
            pass
    os.set_blocking(writer, True)
    with barasync.running(
        "matrix", "tests", "--verbose", "--output", "quiet", stderr=writer
    ) as process:
        read_until(process, "2 passed", 1)
        process.send_signal(signal.SIGINT)
        code = process.wait(20)
    os.close(reader)
    os.close(writer)

    assert code == 0
    assert set(barasync.statuses().values()) == {"passed"}


def test_the_verbose_log_names_every_event_and_no_output(barasync: Barasync) -> None:
    rule(barasync, "echo the-output")
    ended = barasync("matrix", "tests", "--verbose", "--config", "debug")

    assert ended.code == 0
    for event in ("run.started", "cell.started", "container.started", "cell.finished"):
        assert event in ended.err
    assert "the-output" not in ended.err


def test_a_child_that_ran_out_of_memory_is_told_and_the_command_decides(
    barasync: Barasync,
) -> None:
    rule(barasync, "tail /dev/zero; echo went on; exit 0")
    ended = barasync("matrix", "tests", "--memory", "24m", "--config", "debug")

    assert ended.code == 0, ended.out
    (cell,) = barasync.result()["cells"]
    assert cell["status"] == "passed"
    assert "its memory limit of 24 MiB" in " ".join(cell["warnings"])
    assert "note: " in ended.out


def test_limits_that_a_rootless_podman_ignores_are_told(
    rootless_service: RigService, rootless_busybox: str, tmp_path: Path
) -> None:
    command = Barasync(tmp_path, rootless_service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    command.configure(
        f"""
        [defaults]
        image = "{rootless_busybox}"
        command = ["sh", "rule"]
        artifacts = ["made"]
        """
    )
    rule(command, "echo hello; echo made >made; exit 0")

    ended = command("matrix", "tests", "--memory", "64m")
    failed = command("matrix", "tests", "--timeout", "1", "--env", "X=1", "--artifact", "none")

    assert ended.code == 0, ended.out + ended.err
    assert "note: " in ended.out
    assert "imits are not supported" in ended.out
    assert failed.code == 1
    assert "artifacts incomplete" in failed.out
    assert command.log(NATIVE) == "hello\n"
