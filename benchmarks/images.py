"""A chain of five steps for three architectures: `barasync image build` against `podman build`.

The chain is ENV and WORKDIR, a COPY of 200 small files, and three RUNs, on a busybox that is there
already, without network. `podman build --layers` makes the same from a Containerfile for one
architecture after the other, as its users do; barasync makes all three at once. Both are measured
as a person starts them, from the command to its exit, in turns, on the same podman and storage.
barasync is kept from loading trio, which only its tests need: where barasync is installed it is
not, and where it is, the HTTP client loads it.

A round is a build with steps that nobody has made before (cold), and the same again (cached), five
times: that is short, and what else the host does counts for more.
Everything that a round made is removed after it. What counts is the ratio within a round: the speed
of the machine drifts.

    script/bench images [--rounds N] [--podman VERSION] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[1]))

from barasync.aiopodman import Endpoint, Podman
from tests.rig import services
from tests.rig.services import RigService
from tests.rig.signals import end_as_with_ctrl_c

ARCHITECTURES = ("amd64", "arm64", "riscv64")
BASE = "localhost/base:latest"
HIDING = "hiding"
FILES = 200
SCRIPTS = (
    "mkdir /srv/out && cp -r /srv/in/. /srv/out",
    "cat /srv/out/* | sha256sum >/srv/out/sum",
    "tar -C /srv -czf /srv/all.tar.gz out && rm -r /srv/out",
)
LOADING = (
    sys.executable,
    "-c",
    "import barasync.cli.app, barasync.cli.image, barasync.cli.building",
)
# The command in a process that has loaded what it needs; it prints its seconds last.
LOADED = """
import sys, time
import barasync.cli.building, barasync.cli.image
from barasync.cli.app import main
began = time.perf_counter()
try:
    sys.exit(main())
finally:
    print(time.perf_counter() - began)
"""
TIMES = {"cold": 1, "cached": 5}
GOALS = {"cold": "at least 1.5 times as fast", "cached": "under 0.3 s"}


@dataclass(slots=True)
class Contest:
    """Seconds on one podman, by state (`cold`, `cached`) and contestant, in turns.

    `loading` is what Python takes to start and to import what the command needs, before it asks
    podman for anything; it is part of barasync's seconds. `loaded` is what a cached build takes in
    a process that has done that. `processor` is what of a cached build's seconds the command itself
    kept a processor busy.
    """

    podman: str
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    loading: list[float] = field(default_factory=list)
    loaded: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def add(self, state: str, contestant: str, seconds: float) -> None:
        self.seconds.setdefault((state, contestant), []).append(seconds)

    def ratios(self, state: str) -> list[float]:
        """How many times as fast barasync is, in each turn of both."""
        pairs = zip(self.seconds[state, "podman"], self.seconds[state, "barasync"], strict=True)
        return [theirs / ours for theirs, ours in pairs]

    def show(self) -> None:
        print(f"podman {self.podman}")
        for state, goal in GOALS.items():
            ratios = self.ratios(state)
            print(f"  {state}: {statistics.median(ratios):.2f} times as fast", end=" ")
            print(f"({min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} turns; goal: {goal})")
            for contestant in ("barasync", "podman"):
                print(f"    {contestant:9} {shown(self.seconds[state, contestant])}")
        print(f"  loading barasync: {shown(self.loading)}")
        print(f"  cached, in a process that has loaded it: {shown(self.loaded)}")
        print(f"  cached, the processor's seconds: {shown(self.processor)}")


def shown(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def write_project(directory: Path) -> None:
    """Write the files that are copied, and the module that hides trio."""
    source = directory / "in"
    source.mkdir()
    for number in range(FILES):
        (source / f"file-{number:03}.txt").write_bytes(os.urandom(1000))
    hiding = directory / HIDING
    hiding.mkdir()
    (hiding / "trio.py").write_text("raise ImportError\n")


def write_chain(directory: Path, token: str) -> None:
    """Declare the chain for both; every step of a token is another one than of any other."""
    runs = ", ".join(json.dumps(script) for script in SCRIPTS)
    (directory / "barasync.toml").write_text(
        f'[images.chain]\nfrom = "{BASE}"\nenv = {{ TOKEN = "{token}" }}\nworkdir = "/srv"\n'
        f'copy = ["in:/srv/in"]\nrun = [{runs}]\nnetwork = "none"\n'
    )
    lines = ["ARG BASE", "FROM $BASE", f"ENV TOKEN={token}", "WORKDIR /srv", "COPY in /srv/in"]
    lines += [f"RUN {script}" for script in SCRIPTS]
    (directory / "Containerfile").write_text("\n".join(lines) + "\n")


def podman(service: RigService, script: str) -> float:
    """Run a shell's commands inside podman's namespaces; return their seconds."""
    # The service may live in a mount namespace of its own, with its own root.
    enter = ["nsenter", f"--target={service.pid}", "--mount", "--root", "--wd"]
    environ = {**service.environ, "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
    return timed([*enter, "sh", "-euc", script], cwd=Path("/"), environ=environ)


def podman_build(service: RigService, project: Path) -> float:
    context = shlex.quote(str(project))
    commands = [
        f"podman build --layers --network none --platform linux/{architecture} "
        f"--build-arg BASE=localhost/busybox:{architecture} --tag localhost/chain:{architecture} "
        f"--pull=never --file {context}/Containerfile {context}"
        for architecture in ARCHITECTURES
    ]
    return podman(service, "\n".join(commands))


def image_build(service: RigService, project: Path) -> float:
    command = [sys.executable, "-m", "barasync", *words(service)]
    return timed(command, cwd=project, environ=environ_of(project))


def loaded_build(service: RigService, project: Path) -> float:
    """Return the seconds of a build without those of loading."""
    command = [sys.executable, "-c", LOADED, *words(service)]
    return float(run(command, cwd=project, environ=environ_of(project)).split()[-1])


def environ_of(project: Path) -> dict[str, str]:
    """Return the environment of a barasync that finds no trio."""
    return {**os.environ, "PYTHONPATH": str(project / HIDING)}


def words(service: RigService) -> list[str]:
    architectures = ",".join(ARCHITECTURES)
    return ["image", "build", "chain", "--arch", architectures, "--url", service.endpoint.url]


CONTESTANTS: dict[str, Callable[[RigService, Path], float]] = {
    "barasync": image_build,
    "podman": podman_build,
}


def timed(command: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> float:
    """Run a command that has to succeed; return the seconds of its whole life."""
    started = time.perf_counter()
    run(command, cwd=cwd, environ=environ)
    return time.perf_counter() - started


def run(command: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> str:
    """Run a command that has to succeed; return what it printed."""
    done = subprocess.run(command, cwd=cwd, env=dict(environ), capture_output=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise SystemExit(f"{shlex.join(command)}\nended with {done.returncode}:\n{said}")
    return done.stdout.decode(errors="replace")


def busy_seconds() -> float:
    """Return for how long processes that have ended kept a processor busy."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def images_of(url: str) -> set[str]:
    async with Podman(Endpoint(url, "the benchmark")) as client:
        return {image.id for image in await client.images.list(all=True)}


async def clear(url: str, kept: set[str]) -> None:
    """Remove every image that was not there before."""
    async with Podman(Endpoint(url, "the benchmark")) as client:
        for image in await client.images.list(all=True):
            if image.id not in kept:
                for name in image.repo_tags:
                    await client.images.remove(name, missing_ok=True)
        for image in await client.images.list(all=True):
            if image.id not in kept:
                await client.images.remove(image.id, force=True, missing_ok=True)


def contest(service: RigService, project: Path, rounds: int) -> Contest:
    result = Contest(service.version)
    with base(service) as kept:
        for number in range(rounds):
            turns = tuple(CONTESTANTS) if number % 2 == 0 else tuple(reversed(CONTESTANTS))
            write_chain(project, f"{service.version}-{number}")
            for state, times in TIMES.items():
                for contestant in turns * times:
                    busy = busy_seconds()
                    seconds = CONTESTANTS[contestant](service, project)
                    result.add(state, contestant, seconds)
                    if (state, contestant) == ("cached", "barasync"):
                        result.processor.append(busy_seconds() - busy)
            for _ in range(TIMES["cached"]):
                result.loaded.append(loaded_build(service, project))
                result.loading.append(timed(LOADING, cwd=project, environ=environ_of(project)))
            anyio.run(clear, service.endpoint.url, kept)
    return result


@contextmanager
def base(service: RigService) -> Iterator[set[str]]:
    """Make the busybox of every architecture, and the list of them; give what is there then."""
    for architecture in ARCHITECTURES:
        service.busybox(architecture)
    lines = [f"podman manifest create {BASE}"]
    lines += [
        f"podman manifest add {BASE} containers-storage:localhost/busybox:{architecture}"
        for architecture in ARCHITECTURES
    ]
    podman(service, "\n".join(lines))
    yield anyio.run(images_of, service.endpoint.url)


def main() -> None:
    end_as_with_ctrl_c()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--podman", default="", help="the beginning of a version")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for installation in (services.host_podman(), services.trixie_podman()):
        if not installation.version.startswith(options.podman):
            continue
        with (
            services.running(installation) as service,
            tempfile.TemporaryDirectory(prefix="barasync-bench-") as name,
        ):
            write_project(Path(name))
            results.append(contest(service, Path(name), options.rounds))
        results[-1].show()
    if options.json is not None:
        document = {
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "results": [
                {
                    "podman": each.podman,
                    "state": state,
                    "barasync_seconds": each.seconds[state, "barasync"],
                    "podman_seconds": each.seconds[state, "podman"],
                    "ratios": each.ratios(state),
                    "loading_seconds": each.loading,
                    "loaded_seconds": each.loaded,
                    "processor_seconds": each.processor,
                }
                for each in results
                for state in GOALS
            ],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
