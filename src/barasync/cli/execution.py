"""A plan and how it is to be carried out, and what has come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from barasync.aiopodman import Reference
from barasync.cli.cell_options import RunOptions
from barasync.cli.project import Project
from barasync.cli.reader import Reader
from barasync.cli.reports import Report
from barasync.cli.secrets import read_secrets
from barasync.config.copies import Copy
from barasync.engine.detached import Detachment
from barasync.engine.dialogue import Dialogue
from barasync.engine.feeding import OpenStdin
from barasync.engine.run import RunResult
from barasync.images.kept import NeededImage
from barasync.images.registry import Registries
from barasync.masking.value import SecretValue
from barasync.matrix.plan import Plan
from barasync.report.files import RunDirectory
from barasync.report.result import ResultDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What all cells may take together, as far as that was said; memory in bytes."""

    jobs: int | None = None
    cpus_total: float | None = None
    memory_total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a plan is to be carried out; the command line's side of a run.

    `history` is the file that remembers how long cells took, `None` for a run that is not to be
    remembered. `secrets` are the values of the plan's secrets, by source.
    `check_elf` compares the shells of images with their platforms. `copies` go to every cell.
    `snapshots` are the names of the images to be made of cells, by ID, and with `keep_failed` one
    is made of each other cell that fails; `reports` are written when the run has ended.
    `needed` are images that have to be there. `detachment` says how containers are to go on after
    it, if they are. With a `dialogue` it is a shell, whose output is not recorded; `stdin` is what
    the command of a single cell reads, and `reader` who reads what it prints: the run is ended when
    they have left.
    """

    plan: Plan
    project: Project
    url: str | None
    artifacts: Path | None
    environ: Mapping[str, str]
    registries: Registries
    secrets: Mapping[str, SecretValue]
    verbose: bool
    check_elf: bool = False
    limits: Limits = Limits()
    fail_fast: bool = False
    history: Path | None = None
    deadline: float | None = None
    copies: tuple[Copy, ...] = ()
    snapshots: Mapping[str, Reference] = field(default_factory=dict)
    keep_failed: bool = False
    reports: tuple[Report, ...] = ()
    needed: tuple[NeededImage, ...] = ()
    detachment: Detachment | None = None
    dialogue: Dialogue | None = None
    stdin: OpenStdin | None = None
    reader: Reader | None = None

    @classmethod
    def of(
        cls, plan: Plan, project: Project, asked: RunOptions, environ: Mapping[str, str]
    ) -> Execution:
        """Return how a plan is carried out that is asked for with these options and no others.

        Raises:
            ConfigError: `--snapshot` is no name for an image, or a secret cannot be read.
        """
        return cls(
            plan=plan,
            project=project,
            url=asked.url,
            artifacts=None if asked.artifacts_dir is None else asked.artifacts_dir.absolute(),
            snapshots=asked.snapshots(plan.cells),
            environ=environ,
            registries=Registries(environ=environ, pull=asked.pull, insecure=asked.insecure),
            check_elf=asked.check_elf,
            secrets=read_secrets(plan, environ),
            verbose=asked.verbose,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A run that has ended, and its record.

    `problems` are sentences on what could not be written or pruned; without `recorded` some of
    that was the record or a log.
    """

    result: RunResult
    document: ResultDocument
    directory: RunDirectory
    artifacts: Path
    problems: tuple[str, ...]
    recorded: bool
