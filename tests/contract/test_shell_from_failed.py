"""A shell in what is kept of a failed cell, when the project or the images are not as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from barasync.images.emulation import Host
from barasync.matrix.platforms import native, short_name
from tests.rig import leftovers, libpod
from tests.rig.command import Barasync
from tests.rig.services import RigService

pytestmark = [pytest.mark.usefixtures("no_image_stays"), pytest.mark.timeout(180)]

OWN = native(Host.current().machine)


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Iterator[Barasync]:
    """The command line in a project of its own; nothing of a run is left after it."""
    found = partial(leftovers.of_runs, service.endpoint.socket_path, service.directory)
    before = found()
    yield Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    assert leftovers.settled(lambda: [each for each in found() if each not in before]) == []


def test_a_shell_in_a_failed_cell_has_its_services_whatever_became_of_the_file(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "-c", "echo made >made; exit 3"]
        env = {{ A = "1" }}
        network = "none"
        [matrix]
        config = ["debug"]
        [[matrix.include]]
        config = "debug"
        [[matrix.include.services]]
        name = "db"
        image = "database"
        ready = "8080/tcp"
        env = {{ SAYS = "x" }}
        command = ["sh", "-c", "cd /tmp; echo $SAYS >said; exec httpd -f -p 8080"]
        [images.database]
        from = "{busybox}"
        env = {{ MADE = "here" }}
        """
    )
    failed = barasync("matrix", "tests", "--keep-failed")
    assert failed.code == 1, failed.err
    cell = f"{short_name(OWN)}-debug"
    shell = ("shell", "--from-failed", "last", cell, "--", "sh", "-c")
    script = "cat made; echo $A; wget -qO- db:8080/said"

    (barasync.directory / "barasync.toml").unlink()
    without_file = barasync(*shell, script)
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        env = {{ A = "2" }}
        services = [{{ name = "db", image = "no-such-image" }}]
        [images.database]
        from = "no-such-image"
        """
    )
    with_another = barasync(*shell, script)

    for done in (without_file, with_another):
        assert (done.code, done.out) == (0, "made\n1\nx\n"), done.err


def test_what_was_mounted_is_mounted_anew_and_secrets_are_read_anew_without_the_file(
    barasync: Barasync, busybox: str
) -> None:
    barasync.environ["CI_TOKEN"] = "hunter2-0123456789"  # type: ignore[index] # a dict of ours
    (barasync.directory / "volume").mkdir()
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "-c", "echo made >made; echo made >/volume/made; exit 3"]
        workspace = "overlay"
        volumes = ["./volume:/volume"]
        secrets = ["TOKEN=env:CI_TOKEN"]
        """
    )
    assert barasync("matrix", "tests", "--keep-failed").code == 1
    (barasync.directory / "barasync.toml").unlink()
    shell = ("shell", "--from-failed", "last", short_name(OWN), "--", "sh", "-c")

    again = barasync(*shell, "pwd; ls; cat /volume/made; echo ${#TOKEN}")
    del barasync.environ["CI_TOKEN"]  # type: ignore[attr-defined] # as above
    without = barasync(*shell, "true")

    assert (again.code, again.out) == (0, "/workspace\nvolume\nmade\n18\n"), again.err
    assert without.code == 2
    assert "the secrets of the cell that failed: secret TOKEN: the variable" in without.err


def test_what_is_gone_of_a_failed_cell_is_said_before_anything_runs(
    service: RigService, barasync: Barasync, busybox: str
) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["false"]
        network = "none"
        workspace = "none"
        services = [{{ name = "db", image = "database", command = ["sleep", "1000"] }}]
        [images.database]
        from = "{busybox}"
        run = ["touch /database"]
        """
    )
    cell = short_name(OWN)
    runs = []
    for option in (("--snapshot", "localhost/mine:1"), ("--keep-failed",)):
        assert barasync("matrix", "tests", *option).code == 1
        runs.append(barasync.record().name)
    kept = barasync.result()["cells"][0]["snapshot"]
    # A later run takes the name of the first one's.
    assert barasync("run", busybox, "--snapshot", "localhost/mine:1", "--", "touch", "/x").code == 0

    taken = barasync("shell", "--from-failed", runs[0], cell, "--", "true")
    image = kept["settings"]["services"][0]["image"]
    libpod.request(
        service.endpoint.socket_path, "DELETE", f"images/{image}", query={"force": "true"}
    )
    without_service = barasync("shell", "--from-failed", runs[1], cell, "--", "true")
    assert barasync("clean", "--kept").code == 0
    without_image = barasync("shell", "--from-failed", "last", cell, "--", "true")

    first, second = (f"cell {cell} of run {run}" for run in runs)
    assert [done.code for done in (taken, without_service, without_image)] == [2, 2, 2]
    assert taken.err.startswith(f"barasync: {first}: image ")
    assert "is gone, and a later one has taken its name localhost/mine:1\n" in taken.err
    assert "`barasync shell localhost/mine:1`" in taken.err
    assert without_service.err.startswith(f"barasync: service 'db' (database) of {second}: image ")
    assert " is not on this service any more\n  hint: run the cell again" in without_service.err
    assert without_image.err.startswith(f"barasync: {second}: image ")
    assert " is not on this service any more\n  hint: kept images go after 7" in without_image.err
    assert barasync("shell", "--from-failed", "last", f"{cell}x").code == 2
    assert not (barasync.directory / ".barasync" / "shells").exists()
