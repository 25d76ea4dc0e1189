"""A soak: many cells whose every byte of output is checked, and nothing may be left.

The cells print from nothing to some megabytes to both streams, a part of the output by their
number, and end with exit codes by their number. Afterwards there is no container, conmon, cgroup,
temporary file or storage of them, and the service has no more files open than before.

    script/soak [--cells N] [--jobs N] [--podman VERSION]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.rig import services
from tests.rig.memory import MEBIBYTE
from tests.rig.signals import end_as_with_ctrl_c
from tests.rig.soak import Soaked, soak

SHOWN = 20


def show(podman: str, result: Soaked) -> None:
    before, after = result.service_descriptors
    print(f"podman {podman}")
    print(
        f"  {result.cells} cells in {result.seconds:.1f} s, {result.cells_per_second:.1f} cells/s"
    )
    print(f"  {result.output_bytes / 1e6:.1f} MB of output checked, byte by byte")
    print(f"  peak memory of barasync {result.peak_memory_bytes / MEBIBYTE:.0f} MiB")
    print(f"  open files of the service: {before} before, {after} after")
    print(f"  {len(result.problems) or 'no'} problems")
    for problem in result.problems[:SHOWN]:
        print(f"    {problem}")


def main() -> None:
    end_as_with_ctrl_c()
    installations = {one.version: one for one in (services.host_podman(), services.trixie_podman())}
    parser = argparse.ArgumentParser(prog="script/soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--podman", choices=sorted(installations), help="both by default")
    options = parser.parse_args()
    failed = False
    for version, installation in installations.items():
        if options.podman in {None, version}:
            with (
                services.running(installation) as service,
                tempfile.TemporaryDirectory() as directory,
            ):
                result = soak(service, Path(directory), cells=options.cells, jobs=options.jobs)
            show(service.version, result)
            failed = failed or bool(result.problems)
    sys.exit(failed)


if __name__ == "__main__":
    main()
