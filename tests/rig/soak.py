"""A long run of cells whose every byte is known, and what is left of it afterwards."""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.rig import leftovers, libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.memory import peak_memory
from tests.rig.services import RigService

NATIVE = native_architecture()
WARM_UP_CELLS = 2
EXIT_CODES = 5
GARBAGE_REQUESTS = 50
"""So many lists of images make Go's collector run, to which podman leaves it to close its log of
events after each time: 5 were open after 12 containers on 4.3.1, 10 on 5.4.2, and then none."""

IDLE_DATABASE_CONNECTIONS = 2
"""What Go's `database/sql` keeps of a pool by default (`SetMaxIdleConns`)."""

_PATTERN = random.Random(20).randbytes(2 << 20)
_LONGEST_PIECE = 1 << 20
_SAMPLE_SECONDS = 0.1
_STREAMS = {1: "stdout", 2: "stderr"}
_SCRIPT = f"""
while read -r stream offset length; do
    tail -c "+$offset" pattern | head -c "$length" >&"$stream"
done <"plan/$BARASYNC_CONFIG"
exit $((${{BARASYNC_CONFIG#c}} % {EXIT_CODES}))
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a cell prints in one go: a part of the pattern, to one of its streams."""

    stream: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What was measured, and what was wrong; `output_bytes` of all cells were checked."""

    cells: int
    seconds: float
    output_bytes: int
    peak_memory_bytes: int
    service_descriptors: tuple[int, int]
    problems: tuple[str, ...]

    @property
    def cells_per_second(self) -> float:
        return self.cells / self.seconds


def pieces(number: int) -> list[Piece]:
    """Return what a cell prints, up to some megabytes; every tenth prints nothing."""
    if number % 10 == 0:
        return []
    source = random.Random(number)
    printed = []
    for _ in range(source.randint(1, 8)):
        length = int(2 ** source.uniform(0, _LONGEST_PIECE.bit_length() - 1))
        offset = source.randrange(len(_PATTERN) - length)
        printed.append(Piece(source.choice((1, 1, 2)), offset, length))
    return printed


def expected(number: int) -> dict[str, bytes]:
    """Return what a cell prints to each stream."""
    streams: dict[str, list[bytes]] = {name: [] for name in _STREAMS.values()}
    for piece in pieces(number):
        part = _PATTERN[piece.offset : piece.offset + piece.length]
        streams[_STREAMS[piece.stream]].append(part)
    return {name: b"".join(parts) for name, parts in streams.items()}


def soak(service: RigService, directory: Path, *, cells: int, jobs: int) -> Soaked:
    """Run so many cells in a new project below an empty directory, and check all there is.

    A few cells are run before: what podman makes once is not to be taken for something left.
    """
    temporary = directory / "tmp"
    temporary.mkdir()
    barasync = _project(service, directory / "project", temporary, cells)
    idle = _descriptors(service)
    # Those of exec sessions of other tests stay for five minutes.
    others = frozenset(_monitors(service))
    warm_up = ",".join(f"c{number}" for number in range(1, 1 + WARM_UP_CELLS))
    barasync("matrix", "soak", "--config", warm_up, "--output", "quiet")
    leftovers.settled(lambda: sorted(set(_monitors(service)) - others))
    before = _Traces.of(service, others)
    started = perf_counter()
    peak = _run(barasync, directory / "shown", jobs)
    seconds = perf_counter() - started
    run = barasync.record().name
    left = leftovers.settled(lambda: _left(service, before, idle, [run]))
    left += [f"temporary file {path}" for path in temporary.rglob("*")]
    result = {cell["config"]: cell for cell in barasync.result()["cells"]}
    wrong = [
        problem
        for number in range(cells)
        for problem in _wrong(number, result[f"c{number}"], barasync.record())
    ]
    return Soaked(
        cells=cells,
        seconds=seconds,
        output_bytes=sum(piece.length for number in range(cells) for piece in pieces(number)),
        peak_memory_bytes=peak,
        service_descriptors=(idle.total(), _descriptors(service).total()),
        problems=(*wrong, *left),
    )


def _project(service: RigService, directory: Path, temporary: Path, cells: int) -> Barasync:
    (directory / "plan").mkdir(parents=True)
    (directory / "pattern").write_bytes(_PATTERN)
    (directory / "script").write_text(_SCRIPT)
    for number in range(cells):
        lines = [f"{one.stream} {one.offset + 1} {one.length}\n" for one in pieces(number)]
        (directory / "plan" / f"c{number}").write_text("".join(lines))
    environ = {**os.environ, "NO_COLOR": "1", "TMPDIR": str(temporary)}
    barasync = Barasync(directory, service.endpoint.url, environ)
    barasync.configure(
        f"""
        [defaults]
        image = "{service.busybox(NATIVE)}"
        command = ["sh", "script"]
        timeout = 600
        network = "none"
        [matrix]
        config = {[f"c{number}" for number in range(cells)]}
        """
    )
    return barasync


def _run(barasync: Barasync, shown: Path, jobs: int) -> int:
    """Run all cells; return the peak of barasync's memory in bytes."""
    peak = 0
    words = ("matrix", "soak", "--jobs", str(jobs), "--cpus-total", str(jobs), "--output", "quiet")
    with (
        shown.open("wb") as file,
        barasync.running(*words, stdout=file.fileno(), stderr=subprocess.STDOUT) as process,
    ):
        while process.poll() is None:
            peak = max(peak, peak_memory(process.pid))
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SAMPLE_SECONDS)
    return peak


@dataclass(frozen=True, slots=True)
class _Traces:
    """What podman keeps of containers."""

    paths: frozenset[str]
    containers: frozenset[str]
    monitors: frozenset[str]

    @classmethod
    def of(cls, service: RigService, monitors: Iterable[str]) -> _Traces:
        kept = ("graph/overlay", "graph/overlay-containers", "run/overlay-containers", "tmp/exits")
        paths = [path for name in kept for path in (service.directory / name).glob("*")]
        containers = libpod.containers(service.endpoint.socket_path).values()
        return cls(frozenset(map(str, paths)), frozenset(containers), frozenset(monitors))


def _left(
    service: RigService, before: _Traces, idle: Counter[str], runs: Collection[str]
) -> list[str]:
    """Return what is there of the runs, and of podman what was not there before them."""
    now = _Traces.of(service, _monitors(service))
    left = [f"container {name}" for name in sorted(now.containers - before.containers)]
    left += sorted(now.paths - before.paths)
    left += sorted(now.monitors - before.monitors)
    left += leftovers.cgroups(runs)
    more = _descriptors(service) - idle
    left += [f"open in the service: {number} more of {what}" for what, number in more.items()]
    return left


def _monitors(service: RigService) -> list[str]:
    return [one for one in leftovers.processes_of(service.directory) if "conmon" in one]


def _descriptors(service: RigService) -> Counter[str]:
    """Count what the descriptors of the service lead to: sockets, pipes, files by their names.

    Podman 5 keeps up to two connections to its database open between requests, one or two by
    chance: they count as two.
    """
    for _ in range(GARBAGE_REQUESTS):
        libpod.request(service.endpoint.socket_path, "GET", "images/json")
    found: Counter[str] = Counter()
    for descriptor in Path(f"/proc/{service.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has just been closed
            found[str(descriptor.readlink()).partition(":")[0]] += 1
    for name in found:
        if name.endswith("/db.sql"):
            found[name] = max(found[name], IDLE_DATABASE_CONNECTIONS)
    return found


def _wrong(number: int, cell: dict[str, Any], record: Path) -> list[str]:
    """Return what is not as it has to be with a cell."""
    wrong = []
    exit_code = number % EXIT_CODES
    status = "failed" if exit_code else "passed"
    if (cell["status"], cell["exit_code"]) != (status, exit_code):
        wrong.append(f"{cell['status']} with {cell['exit_code']}: {cell['reason']}")
    streams = expected(number)
    counts = {"complete": True, **{f"{name}_bytes": len(data) for name, data in streams.items()}}
    if cell["output"] != counts:
        wrong.append(f"output {cell['output']} in place of {counts}")
    logs = record / "cells" / cell["id"]
    for name, data in streams.items():
        if (logs / f"{name}.log").read_bytes() != data:
            wrong.append(f"{name}.log is not what the cell printed")
    together = Counter((logs / "output.log").read_bytes())
    if together != sum((Counter(data) for data in streams.values()), Counter()):
        wrong.append("output.log is not both streams")
    return [f"{cell['id']}: {problem}" for problem in wrong]
