"""What enforcing a policy adds to the start of a cell, by the durations in the record of a run.

Each round runs as many cells of `true`, one after another, on each network of a pair: without rules
and with them. `none` and `local` have no interface: their difference is what the rules cost alone.
`bridge` is podman's network and `private` one of the run's own, with names and IPv6: the difference
has what podman takes for those too. The order changes from round to round, and what counts is the
difference within one.

    script/bench networks [--cells N] [--rounds N] [--json FILE]
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
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.rig import services
from tests.rig.busybox import native_architecture
from tests.rig.services import RigService
from tests.rig.signals import end_as_with_ctrl_c

PAIRS = (("none", "local"), ("bridge", "private"))
GOAL = 25.0
"""Milliseconds that a policy may add."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Milliseconds from the creation of a cell to its start, by round: medians of its cells."""

    podman: str
    without: str
    policy: str
    bare: list[float]
    enforced: list[float]

    @property
    def added(self) -> list[float]:
        return [late - soon for soon, late in zip(self.bare, self.enforced, strict=True)]


def starts(service: RigService, image: str, network: str, cells: int) -> float:
    """Return the median of milliseconds that cells take until they run."""
    names = ", ".join(f'"c{number}"' for number in range(cells))
    with tempfile.TemporaryDirectory() as project:
        Path(project, "barasync.toml").write_text(
            f'[defaults]\nimage = "{image}"\ncommand = ["true"]\nworkspace = "none"\n'
            f'network = "{network}"\n[matrix]\nconfig = [{names}]\n'
        )
        command = [sys.executable, "-m", "barasync", "matrix", "bench", "--output", "quiet"]
        command += ["--url", service.endpoint.url, "--jobs", "1"]
        ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\nended with {ran.returncode}:\n{ran.stderr}")
        record = json.loads(Path(project, ".barasync/runs/latest/result.json").read_text())
    # The first cell of a run waits for its network to be made.
    phases = [cell["phases"] for cell in record["cells"][1:]]
    return float(1000 * statistics.median(each["create"] + each["start"] for each in phases))


def compare(service: RigService, without: str, policy: str, cells: int, rounds: int) -> Pair:
    image = service.busybox(native_architecture())
    pair = Pair(service.version, without, policy, [], [])
    for number in range(rounds):
        turns = [(without, pair.bare), (policy, pair.enforced)]
        for network, medians in turns if number % 2 == 0 else reversed(turns):
            medians.append(starts(service, image, network, cells))
    return pair


def show(pair: Pair) -> None:
    added = statistics.median(pair.added)
    print(
        f"podman {pair.podman}: {pair.without} {statistics.median(pair.bare):6.1f} ms, "
        f"{pair.policy} {statistics.median(pair.enforced):6.1f} ms: {added:+.1f} ms "
        f"({min(pair.added):+.1f} to {max(pair.added):+.1f} in {len(pair.added)} rounds)"
    )


def main() -> None:
    end_as_with_ctrl_c()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=20, help="of each network in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pairs = []
    for installation in (services.host_podman(), services.trixie_podman()):
        with services.running(installation) as service:
            for without, policy in PAIRS:
                pairs.append(compare(service, without, policy, options.cells, options.rounds))
                show(pairs[-1])
    rules = [statistics.median(pair.added) for pair in pairs if pair.policy == "local"]
    print(f"rules add {max(rules):.1f} ms at most (goal: less than {GOAL:g})")
    if options.json is not None:
        document = {
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "cells": options.cells,
            "pairs": [asdict(pair) for pair in pairs],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
