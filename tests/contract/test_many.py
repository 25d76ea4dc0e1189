"""`matrix --repeat` and `--rule-each` on real podman: what runs, where, and at the same time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import RigService

NATIVE = native_architecture()
# Whoever comes waits for the others, and for as long as a busy host may take.
MEET = """
touch "/meet/$BARASYNC_CELL"
for _ in $(seq 400); do
    test "$(ls /meet | wc -l)" -lt "$1" || exit 0
    sleep 0.1
done
exit 9
"""


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    """The command line in a project whose rules are scripts of the POSIX shell."""
    project = tmp_path / "project"
    project.mkdir()
    command = Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"}, timeout=100)
    command.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "{{rule}}", "{{args}}"]
        timeout = 60
        """
    )
    return command


def rules(barasync: Barasync, **scripts: str) -> None:
    for name, script in scripts.items():
        (barasync.directory / name).write_text(script)


def test_repeated_cells_run_at_once_and_each_knows_its_number(
    barasync: Barasync, tmp_path: Path
) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    rules(barasync, meet=f'echo "$1 number $BARASYNC_REPEAT"{MEET}')
    words = ("--repeat", "3", "--jobs", "3", "--volume", f"{meeting}:/meet", "--cpus", "0.1")
    ended = barasync("matrix", *words, "meet", "3")

    assert ended.code == 0, ended.err + ended.out
    cells = [f"{NATIVE}-{number}" for number in (1, 2, 3)]
    assert sorted(path.name for path in meeting.iterdir()) == cells
    for number, cell in enumerate(cells, start=1):
        assert barasync.log(cell) == f"3 number {number}\n"
    told = [(cell["id"], cell["repetition"]) for cell in barasync.result()["cells"]]
    assert told == list(zip(cells, (1, 2, 3), strict=True))


def test_each_rule_runs_in_a_container_of_its_own_at_once(
    barasync: Barasync, tmp_path: Path
) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    meet = MEET.replace("$1", "2")
    rules(barasync, lint=f"echo linted; : >written{meet}", tests=f"echo tested; ls{meet}")
    words = ("--rule-each", "--jobs", "2", "--volume", f"{meeting}:/meet", "--cpus", "0.1")
    ended = barasync("matrix", *words, "lint", "tests")

    assert ended.code == 0, ended.err + ended.out
    assert barasync.log(f"{NATIVE}-lint") == "linted\n"
    assert barasync.log(f"{NATIVE}-tests") == "tested\nbarasync.toml\nlint\ntests\n"
    containers = {cell["container_id"] for cell in barasync.result()["cells"]}
    assert len(containers) == 2


def test_a_rule_that_fails_leaves_the_others_their_end(barasync: Barasync) -> None:
    rules(barasync, bad="exit 3", good="echo done")
    ended = barasync("matrix", "--rule-each", "--jobs", "1", "bad", "good", "missing")

    assert ended.code == 1
    assert barasync.statuses() == {
        f"{NATIVE}-bad": "failed",
        f"{NATIVE}-good": "passed",
        f"{NATIVE}-missing": "failed",
    }
    assert barasync.log(f"{NATIVE}-good") == "done\n"
    cells = barasync.result()["cells"]
    assert [(cell["rule"], cell["repetition"]) for cell in cells] == [
        ("bad", None),
        ("good", None),
        ("missing", None),
    ]


def test_how_long_a_rule_took_is_remembered_as_if_it_had_run_alone(barasync: Barasync) -> None:
    rules(barasync, bad="exit 3", good="true")
    barasync("matrix", "--rule-each", "--repeat", "2", "bad", "good")

    records = json.loads((barasync.directory / ".barasync/history.json").read_text())["records"]
    known = {(each["rule"], each["cell"], each["failed"]) for each in records}
    assert known == {("bad", NATIVE, True), ("good", NATIVE, False)}


def test_a_failed_repetition_that_is_kept_can_be_looked_into(barasync: Barasync) -> None:
    rules(barasync, odd='echo "$BARASYNC_REPEAT" >left; test "$BARASYNC_REPEAT" != 2')
    ended = barasync("matrix", "--repeat", "2", "--keep-failed", "odd")
    assert ended.code == 1
    assert barasync.statuses() == {f"{NATIVE}-1": "passed", f"{NATIVE}-2": "failed"}
    try:
        script = 'cat left; echo "$BARASYNC_CELL $BARASYNC_REPEAT"'
        looked = barasync(
            *("shell", "--from-failed", "last", f"{NATIVE}-2", "--", "sh", "-c", script)
        )
        assert (looked.code, looked.out) == (0, f"2\n{NATIVE}-2 2\n"), looked.err
    finally:
        assert barasync("clean", "--kept").code == 0
