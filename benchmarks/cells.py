"""Fresh cells per second: `barasync matrix` against `podman run` under xargs, interleaved.

Both run the same number of containers of the same image on the same podman and storage, in turns,
each at its best degree of parallelism. barasync is measured as a person starts it, from the command
to its exit, and keeps complete logs and a record of every cell meanwhile. What counts is the ratio
within a round: the speed of the machine drifts.

    script/bench cells [--cells N] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.rig import services
from tests.rig.busybox import native_architecture
from tests.rig.services import RigService
from tests.rig.signals import end_as_with_ctrl_c

DEGREES = (2, 4, 8)


@dataclass(frozen=True, slots=True)
class Contest:
    """The rounds on one podman: cells per second, by contestant."""

    podman: str
    barasync: list[float]
    xargs: list[float]
    barasync_jobs: int
    xargs_processes: int

    @property
    def ratios(self) -> list[float]:
        return [ours / theirs for ours, theirs in zip(self.barasync, self.xargs, strict=True)]


def podman_run(service: RigService, image: str, cells: int, degree: int) -> float:
    """Return the containers per second of `podman run` under xargs, inside podman's namespaces."""
    script = (
        f"seq {cells} | xargs -P {degree} -I NUMBER "
        f"podman run --rm --network none --timeout 600 --pids-limit 4096 {image} true"
    )
    # The service may live in a mount namespace of its own, with its own root.
    environ = {**service.environ, "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
    enter = ["nsenter", f"--target={service.pid}", "--mount", "--root", "--wd"]
    return measure([*enter, "sh", "-c", script], cells, cwd=Path("/"), environ=environ)


def matrix(service: RigService, image: str, cells: int, degree: int) -> float:
    """Return the cells per second of `barasync matrix`."""
    with tempfile.TemporaryDirectory() as project:
        names = ", ".join(f'"c{number}"' for number in range(cells))
        Path(project, "barasync.toml").write_text(
            f'[defaults]\nimage = "{image}"\ncommand = ["true"]\nworkspace = "none"\n'
            f'network = "none"\ntimeout = 600\n[matrix]\nconfig = [{names}]\n'
        )
        command = [sys.executable, "-m", "barasync", "matrix", "bench", "--output", "quiet"]
        command += ["--url", service.endpoint.url, "--jobs", str(degree)]
        return measure(command, cells, cwd=Path(project), environ=os.environ)


def measure(command: list[str], cells: int, *, cwd: Path, environ: Mapping[str, str]) -> float:
    """Run a command that has to succeed; return cells per second of its whole life."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=dict(environ), capture_output=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}:\n{said}")
    return cells / seconds


def best(contestant: Callable[[int], float], degrees: Iterable[int]) -> int:
    """Return the degree of parallelism at which a contestant is fastest."""
    return max(degrees, key=contestant)


def contest(service: RigService, cells: int, rounds: int) -> Contest:
    image = service.busybox(native_architecture())
    few = max(20, cells // 2)
    jobs = best(lambda degree: matrix(service, image, few, degree), DEGREES)
    processes = best(lambda degree: podman_run(service, image, few, degree), DEGREES)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        turns = [
            lambda: ours.append(matrix(service, image, cells, jobs)),
            lambda: theirs.append(podman_run(service, image, cells, processes)),
        ]
        for turn in turns if number % 2 == 0 else reversed(turns):
            turn()
    return Contest(service.version, ours, theirs, jobs, processes)


def show(result: Contest) -> None:
    ratio = statistics.median(result.ratios)
    low, high = min(result.ratios), max(result.ratios)
    print(f"podman {result.podman}")
    print(
        f"  barasync matrix --jobs {result.barasync_jobs}: "
        f"{statistics.median(result.barasync):5.1f} cells/s"
    )
    print(
        f"  xargs -P {result.xargs_processes} podman run:  "
        f"{statistics.median(result.xargs):5.1f} cells/s"
    )
    print(f"  ratio {ratio:.2f} (median of {len(result.ratios)} rounds, {low:.2f} to {high:.2f})")


def main() -> None:
    end_as_with_ctrl_c()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for installation in (services.host_podman(), services.trixie_podman()):
        with services.running(installation) as service:
            results.append(contest(service, options.cells, options.rounds))
        show(results[-1])
    if options.json is not None:
        document = {
            "cells": options.cells,
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "results": [
                {
                    "podman": each.podman,
                    "barasync_cells_per_second": each.barasync,
                    "podman_run_per_second": each.xargs,
                    "ratios": each.ratios,
                    "median_ratio": statistics.median(each.ratios),
                }
                for each in results
            ],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
