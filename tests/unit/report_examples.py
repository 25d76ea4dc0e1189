"""Events, channels and devices that the tests of the report share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from barasync.events import (
    AdmissionHeld,
    CellFinished,
    CellLeaked,
    CellRetried,
    CellStarted,
    ContainerStarted,
    ImageProgress,
    ImageResolved,
    PlannedCell,
    RunFinished,
    RunStarted,
)
from barasync.matrix.outcome import Collected, Outcome, OutputCounts, Status, Usage

PASSED = Outcome(
    status=Status.PASSED,
    exit_code=0,
    container_id="c0ffee",
    usage=Usage(peak_memory_bytes=40 * 1024**2, cpu_seconds=2.5, exact=True),
    output=OutputCounts(stdout_bytes=12, stderr_bytes=3),
    phases={"prepare": 0.5, "run": 2.5},
    artifacts=(
        Collected(source="/workspace/app", destination="/out/amd64/app", files=1, bytes=2048),
    ),
)
FAILED = Outcome(
    status=Status.FAILED,
    exit_code=3,
    reason="exit code 3",
    hint="read the log",
    usage=Usage(peak_memory_bytes=1024**3, cpu_seconds=1.0),
    artifacts=(Collected(source="/none", destination=None, problem="no such path"),),
)
LEAKED = Outcome(status=Status.LEAKED, reason="container c0ffee could not be removed")
CANCELLED = Outcome(status=Status.CANCELLED, reason="not started: the run was interrupted")


def run_started(*cells: str) -> RunStarted:
    return RunStarted(
        at=1_700_000_000.25,
        run="20231114-221320-3f9a",
        directory=".barasync/runs/20231114-221320-3f9a",
        project="/home/u/project",
        rule="tests",
        barasync="0.1.0",
        podman="4.3.1",
        endpoint="unix:///run/podman/podman.sock",
        cells=tuple(
            PlannedCell(id=cell, platform=f"linux/{cell}", config=None, image="base")
            for cell in cells
        ),
    )


def started(cell: str, attempt: int = 1) -> CellStarted:
    return CellStarted(at=1_700_000_001.0, cell=cell, attempt=attempt)


def container_started(
    cell: str, attempt: int = 1, ports: Mapping[str, tuple[str, ...]] | None = None
) -> ContainerStarted:
    return ContainerStarted(
        at=1_700_000_001.5,
        cell=cell,
        attempt=attempt,
        container="c0ffee",
        image="1mage",
        ports=ports or {},
    )


def finished(cell: str, outcome: Outcome = PASSED, attempt: int = 1) -> CellFinished:
    return CellFinished(
        at=1_700_000_004.0, cell=cell, attempt=attempt, seconds=3.14, outcome=outcome
    )


def leaked(cell: str) -> CellLeaked:
    return CellLeaked(at=1_700_000_005.0, cell=cell, outcome=LEAKED)


def retried(cell: str, outcome: Outcome = FAILED, attempt: int = 1) -> CellRetried:
    return CellRetried(at=4.0, cell=cell, attempt=attempt, seconds=1.5, outcome=outcome)


def admission_held(reason: str) -> AdmissionHeld:
    return AdmissionHeld(at=2.0, reason=reason)


def image_progress(message: str) -> ImageProgress:
    return ImageProgress(at=1_700_000_000.5, image="base", platform="linux/arm64", message=message)


def image_resolved(
    architecture: str, digest: str = "", list_digest: str = "", *digests: str
) -> ImageResolved:
    return ImageResolved(
        at=1_700_000_000.6,
        image="base",
        platform=f"linux/{architecture}",
        id="ba5e",
        digest=digest,
        list_digest=list_digest,
        digests=digests,
    )


def run_finished(exit_code: int = 0, problem: str | None = None) -> RunFinished:
    return RunFinished(
        at=1_700_000_012.5,
        run="20231114-221320-3f9a",
        seconds=12.34,
        exit_code=exit_code,
        counts={"passed": 1},
        problem=problem,
    )


class Capture:
    """A device that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    @property
    def text(self) -> str:
        return self.data.decode()


class Stalled(Capture):
    """A device whose reader stands still until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    def write(self, data: bytes) -> None:
        self.entered.set()
        assert self.released.wait(timeout=30), "nobody released the device"
        super().write(data)


class Failing:
    """A device that fails."""

    def __init__(self, error: OSError) -> None:
        self.calls = 0
        self._error = error

    def write(self, data: bytes) -> None:  # noqa: ARG002 - a Device
        self.calls += 1
        raise self._error


class CellFiles:
    """Log files as an engine would have written them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def logs(self, cell: str, attempt: int) -> Path:
        return self._directory / f"{cell}-{attempt}"

    def append(self, cell: str, data: bytes, *, name: str = "output.log", attempt: int = 1) -> None:
        path = self.logs(cell, attempt) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(data)


def size(columns: int, lines: int) -> Callable[[], os.terminal_size]:
    return lambda: os.terminal_size((columns, lines))
