"""What a network policy adds to a cell, by the records of runs: to its start, and to all of it.

Each round has a run of as many cells of `true` on each network, one cell at a time and several at
once, in an order that changes; what counts is the difference within a round. Two pairs are of one
place without rules and with them, and are held to the goal:

    none, local      no interface
    bridge, joined   podman's default network, and a table of the base `private` that joins it

`private` is a network of the run's own, with names and IPv6: its difference to `bridge` is what
podman takes for those, and to `none` what cells gain that need no network. Ends with 1 where rules
add more than the goal.

    script/bench networks [--cells N] [--rounds N] [--jobs N] [--json FILE]
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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.rig import services
from tests.rig.busybox import native_architecture
from tests.rig.services import RigService
from tests.rig.signals import end_as_with_ctrl_c

TABLES = '[network.joined]\nbase = "private"\njoin = "podman"\n'
NETWORKS = ("none", "local", "bridge", "joined", "private")
ISOLATED = (("none", "local"), ("bridge", "joined"))
PAIRS = (*ISOLATED, ("bridge", "private"), ("none", "private"))
GOAL = 25.0
"""Milliseconds that rules may add."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Milliseconds of a cell in one run: medians of its phases, and its share of the run."""

    phases: dict[str, float]
    share: float


@dataclass(frozen=True, slots=True)
class Series:
    """What was measured of one podman and degree: samples by network, one of each round."""

    podman: str
    jobs: int
    samples: dict[str, list[Sample]]

    def added(self, without: str, policy: str, of: Callable[[Sample], float]) -> list[float]:
        """Return what `policy` adds in each round."""
        pairs = zip(self.samples[without], self.samples[policy], strict=True)
        return [of(enforced) - of(bare) for bare, enforced in pairs]

    @property
    def most(self) -> float:
        """What rules add, the pair with more: one at a time to the start, else to the share.

        Cells that run beside each other wait for each other's processors in every phase.
        """
        of = _start if self.jobs == 1 else _share
        return max(statistics.median(self.added(*pair, of)) for pair in ISOLATED)


def _start(sample: Sample) -> float:
    """From the creation of the container until its command runs."""
    return sample.phases["create"] + sample.phases["start"]


def _share(sample: Sample) -> float:
    return sample.share


def sample(service: RigService, image: str, network: str, *, cells: int, jobs: int) -> Sample:
    """Measure a run of cells on a network."""
    names = ", ".join(f'"c{number}"' for number in range(cells))
    with tempfile.TemporaryDirectory() as project:
        Path(project, "barasync.toml").write_text(
            f'[defaults]\nimage = "{image}"\ncommand = ["true"]\nworkspace = "none"\n'
            f'network = "{network}"\n[matrix]\nconfig = [{names}]\n{TABLES}'
        )
        command = [sys.executable, "-m", "barasync", "matrix", "bench", "--output", "quiet"]
        command += ["--url", service.endpoint.url, "--jobs", str(jobs)]
        ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\nended with {ran.returncode}:\n{ran.stderr}")
        record = json.loads(Path(project, ".barasync/runs/latest/result.json").read_text())
    # The first cell of a run waits for its network to be made.
    found = [cell["phases"] for cell in record["cells"][1:]]
    phases = {
        name: 1000 * statistics.median(each.get(name, 0.0) for each in found)
        for name in ("create", "start", "run", "remove")
    }
    return Sample(phases, 1000 * record["seconds"] / cells)


def measure(service: RigService, *, cells: int, rounds: int, jobs: int) -> Series:
    """Measure all networks in turns."""
    image = service.busybox(native_architecture())
    series = Series(service.version, jobs, {network: [] for network in NETWORKS})
    for number in range(rounds):
        for network in NETWORKS if number % 2 == 0 else reversed(NETWORKS):
            found = sample(service, image, network, cells=cells, jobs=jobs)
            series.samples[network].append(found)
    return series


def show(series: Series) -> None:
    """Print medians, and what is added by each pair with the extremes of its rounds."""
    print(f"podman {series.podman}, {series.jobs} at once, ms of a cell:")
    for network, samples in series.samples.items():
        share = statistics.median(each.share for each in samples)
        phases = ", ".join(
            f"{name} {statistics.median(each.phases[name] for each in samples):.0f}"
            for name in samples[0].phases
        )
        print(f"  {network:8} {share:4.0f} of the run; {phases}")
    for without, policy in PAIRS:
        starts = series.added(without, policy, _start)
        shares = series.added(without, policy, _share)
        ratio = statistics.median(
            enforced.share / bare.share
            for bare, enforced in zip(series.samples[without], series.samples[policy], strict=True)
        )
        print(
            f"  {policy} over {without}: start {_spread(starts)},"
            f" of the run {_spread(shares)}, {ratio:.2f} times"
        )


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):+.0f} ({min(values):+.0f} to {max(values):+.0f})"


def main() -> None:
    end_as_with_ctrl_c()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=24, help="of each network in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=4, help="at once, beside one at a time")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    measured = []
    for installation in (services.host_podman(), services.trixie_podman()):
        with services.running(installation) as service:
            for jobs in (1, options.jobs):
                measured.append(
                    measure(service, cells=options.cells, rounds=options.rounds, jobs=jobs)
                )
                show(measured[-1])
    if options.json is not None:
        document = {
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "cells": options.cells,
            "series": [asdict(series) for series in measured],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    most = max(series.most for series in measured)
    print(f"rules add {most:.1f} ms at most (goal: less than {GOAL:g})")
    sys.exit(most >= GOAL)


if __name__ == "__main__":
    main()
