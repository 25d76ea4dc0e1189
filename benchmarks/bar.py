"""What a function of Bar.d costs: `podman_run` in a rule of bar against `podman run`, in turns.

Each is measured as a person starts it, from the command to its exit, with the same image, limits
and command. An empty rule shows what bar itself takes, a question that podman answers at once what
barasync takes to start. Bar is the stand-in of the tests, or the one that BAR names.

    script/bench bar [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.rig import services
from tests.rig.busybox import native_architecture
from tests.rig.services import PROJECT, RigService
from tests.rig.signals import end_as_with_ctrl_c

LIMITS = ("--network=none", "--timeout=600")


@dataclass(frozen=True, slots=True)
class Command:
    """What is timed: its words, where, and in which environment."""

    words: Sequence[str]
    directory: Path
    environ: Mapping[str, str]

    def seconds(self) -> float:
        """Run it, which has to succeed."""
        started = time.perf_counter()
        done = subprocess.run(
            self.words,
            cwd=self.directory,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise SystemExit(f"{' '.join(self.words)}\nended with {done.returncode}:\n{said}")
        return seconds


def make_project(directory: Path, image: str) -> None:
    """Make a project with bar, the modules, a rule that runs a container and one that does not."""
    bar = Path(os.environ.get("BAR", PROJECT / "tests/bar/stand-in/bar"))
    shutil.copy(bar, directory / "bar")
    shutil.copytree(bar.parent / "Bar.d", directory / "Bar.d")
    shutil.copytree(PROJECT / "Bar.d", directory / "Bar.d", dirs_exist_ok=True)
    run = f"podman_run {' '.join(LIMITS)} {image} -- true"
    (directory / "Barf").write_text(
        f"require podman\nrule timed: -- '{run}'\nrule nothing: -- true\n"
    )


def commands(service: RigService, project: Path) -> dict[str, Command]:
    """Return what is timed on a podman, by what it is called in the report."""
    image = f"localhost/busybox:{native_architecture()}"
    barasync = Path(sys.executable).with_name("barasync")
    ours = {
        **os.environ,
        "CONTAINER_HOST": service.endpoint.url,
        "PODMAN_BARASYNC": str(barasync),
    }
    # The service may live in a mount namespace of its own, with its own root.
    enter = ("nsenter", f"--target={service.pid}", "--mount", "--root", "--wd")
    theirs = {**service.environ, "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
    podman_run = ("podman", "run", "--rm", "--pids-limit=4096", *LIMITS, image, "true")
    return {
        "podman run": Command((*enter, *podman_run), Path("/"), theirs),
        "barasync run": Command(
            (str(barasync), "run", *LIMITS, image, "--", "true"), project, ours
        ),
        "podman_run in a rule": Command(("./bar", "timed"), project, ours),
        "an empty rule": Command(("./bar", "nothing"), project, ours),
        "barasync version --service": Command(
            (str(barasync), "version", "--service"), project, ours
        ),
    }


def timed(service: RigService, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each command in each round; every other round goes backwards."""
    with tempfile.TemporaryDirectory() as made:
        make_project(Path(made), f"localhost/busybox:{native_architecture()}")
        service.busybox(native_architecture())
        each = commands(service, Path(made))
        seconds: dict[str, list[float]] = {name: [] for name in each}
        for command in each.values():
            command.seconds()
        for number in range(rounds):
            turns = list(each.items())
            for name, command in turns if number % 2 == 0 else reversed(turns):
                seconds[name].append(command.seconds())
    return seconds


def show(version: str, seconds: Mapping[str, Sequence[float]]) -> None:
    print(f"podman {version}")
    theirs = seconds["podman run"]
    for name, taken in seconds.items():
        ratios = [ours / other for ours, other in zip(taken, theirs, strict=True)]
        print(
            f"  {name + ':':28}{statistics.median(taken):6.3f} s"
            f"  ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def main() -> None:
    end_as_with_ctrl_c()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for installation in (services.host_podman(), services.trixie_podman()):
        with services.running(installation) as service:
            results[service.version] = timed(service, options.rounds)
            show(service.version, results[service.version])
    if options.json is not None:
        document = {"cpus": os.cpu_count(), "seconds": results}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
