"""Files out of containers and into an image: barasync against `podman cp`, curl and tar.

Every round fetches the same files from the same containers in every way, one after the other, in
turns, onto a tmpfs and onto the disk. What counts is the ratio within a round: the machine drifts.

- `podman cp`, for several containers one after the other, inside podman's own namespaces;
- `curl … | tar -x`, for several containers all at once;
- Python's `TarFile.extractall(filter="data")` on the same stream, all at once;
- barasync's `collect`, as many at once as in a run, timed inside a process that is already running,
  from connecting to the manifests; its memory is the peak of that process above what it had before.

Two more lines say what no client can be faster than: `podman alone` is the same streams thrown
away as they come, `SHA-256 alone` the checksums that only barasync makes, of as many bytes.

The last part sends a tree as an image layer and commits it, against `tar c | curl -T -` and the
same requests by curl.

    script/bench archives [--rounds N] [--only NAME] [--podman VERSION] [--json FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio import to_thread

sys.path.insert(0, str(Path(__file__).parents[1]))

from barasync.aiopodman import ContainerSpec, Endpoint, Podman
from barasync.artifacts.collect import collect
from barasync.artifacts.extract import Limits
from barasync.artifacts.ledger import Ledgers
from barasync.artifacts.place import Place, below
from barasync.engine.gate import COLLECTING
from barasync.matrix.platforms import parse
from barasync.report.manifests import write_manifest
from barasync.workspace.layer import ensure_layer
from barasync.workspace.scan import scan
from tests.rig import libpod, services
from tests.rig.busybox import native_architecture
from tests.rig.memory import MEBIBYTE, peak_memory
from tests.rig.services import RigService
from tests.rig.signals import end_as_with_ctrl_c

API = "http://podman/v4.0.0/libpod"
SMALL_BYTES = 1000
DATA_FILTER = """
import http.client, socket, sys, tarfile
path, target, destination = sys.argv[1:]
connection = http.client.HTTPConnection("podman")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(path)
connection.request("GET", target)
with tarfile.open(fileobj=connection.getresponse(), mode="r|") as archive:
    archive.extractall(destination, filter="data")
"""


@dataclass(frozen=True, slots=True)
class Task:
    """What is fetched: `/data` of so many containers, with so many files of so many bytes."""

    name: str
    containers: int
    files: int
    size: int


TASKS = (
    Task("1 file of 400 MB", 1, 1, 400_000_000),
    Task("10,000 files", 1, 10_000, SMALL_BYTES),
    Task("8 × 2,000 files", 8, 2_000, SMALL_BYTES),
)


@dataclass(slots=True)
class Contest:
    """Seconds by contestant, one for each round; `memory` is barasync's, in bytes.

    `bounds` are the seconds of what is part of the work of everybody or of barasync.
    """

    name: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    bounds: dict[str, list[float]] = field(default_factory=dict)
    memory: list[int] = field(default_factory=list)

    def add(self, contestant: str, seconds: float) -> None:
        self.seconds.setdefault(contestant, []).append(seconds)

    def add_bound(self, name: str, seconds: float) -> None:
        self.bounds.setdefault(name, []).append(seconds)

    def ratio(self, contestant: str) -> float:
        """How many times as fast as a contestant barasync is, the median of the rounds."""
        pairs = zip(self.seconds[contestant], self.seconds["barasync"], strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    def show(self) -> None:
        print(f"  {self.name}")
        for contestant, seconds in self.seconds.items():
            ratio = "" if contestant == "barasync" else f"  × {self.ratio(contestant):.2f}"
            print(f"    {contestant:14} {statistics.median(seconds):6.2f} s{ratio}")
        for name, seconds in self.bounds.items():
            print(f"    ({name:13} {statistics.median(seconds):5.2f} s)")
        if self.memory:
            print(f"    barasync's memory above idle: {max(self.memory) / MEBIBYTE:.0f} MiB")


def timed(command: str, *, cwd: Path, service: RigService | None = None) -> float:
    """Run a shell's command that has to succeed; return its seconds.

    With a service, it runs in that podman's namespaces and with its configuration.
    """
    words = ["bash", "-o", "pipefail", "-euc", f"cd {shlex.quote(str(cwd))}\n{command}"]
    environ = dict(os.environ)
    if service is not None:
        # The service may live in a mount namespace of its own, with its own root.
        words = ["nsenter", f"--target={service.pid}", "--mount", "--root", "--wd", *words]
        environ = {**service.environ, "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
    started = time.perf_counter()
    done = subprocess.run(words, env=environ, capture_output=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{command}\nended with {done.returncode}:\n{done.stderr.decode()}")
    return seconds


def at_once(commands: Sequence[str]) -> str:
    """Make one shell command that runs several at once and fails if one of them does."""
    started = "\n".join(f"({command}) & jobs+=($!)" for command in commands)
    return f'jobs=()\n{started}\nfor job in "${{jobs[@]}}"; do wait "$job"; done'


def podman_cp(service: RigService, containers: Sequence[str], into: Path) -> float:
    lines = [f"podman cp {container}:/data {container}" for container in containers]
    return timed("\n".join(lines), cwd=into, service=service)


def curl_tar(service: RigService, containers: Sequence[str], into: Path) -> float:
    commands = [
        f"mkdir {container}; curl -sfN --unix-socket {service.endpoint.socket_path} "
        f"'{API}/containers/{container}/archive?path=/data' | tar -x -C {container}"
        for container in containers
    ]
    return timed(at_once(commands), cwd=into)


def podman_alone(service: RigService, containers: Sequence[str]) -> float:
    commands = [
        f"curl -sfN --unix-socket {service.endpoint.socket_path} -o /dev/null "
        f"'{API}/containers/{container}/archive?path=/data'"
        for container in containers
    ]
    return timed(at_once(commands), cwd=Path("/"))


def checksums(task: Task) -> float:
    piece = bytes(min(task.size, 256 << 10))
    started = time.perf_counter()
    for _ in range(task.containers * task.files):
        digest = hashlib.sha256()
        for _ in range(task.size // len(piece)):
            digest.update(piece)
        digest.hexdigest()
    return time.perf_counter() - started


def data_filter(service: RigService, containers: Sequence[str], into: Path) -> float:
    commands = [
        shlex.join(
            [
                *(sys.executable, "-c", DATA_FILTER, service.endpoint.socket_path),
                *(f"/v4.0.0/libpod/containers/{container}/archive?path=/data", container),
            ]
        )
        for container in containers
    ]
    return timed(at_once(commands), cwd=into)


def barasync(service: RigService, containers: Sequence[str], into: Path) -> tuple[float, int]:
    """Return the seconds and the bytes of memory that a process of its own says it took."""
    command = [sys.executable, __file__, "--collect", service.endpoint.url, str(into), *containers]
    said = subprocess.run(command, capture_output=True, check=True).stdout
    seconds, memory = json.loads(said)
    return seconds, memory


async def collect_all(url: str, into: Path, containers: Sequence[str]) -> None:
    """Be the process that `barasync` starts: connect, collect as a run does, write manifests."""
    idle = peak_memory(os.getpid())
    started = time.perf_counter()
    turns = anyio.Semaphore(COLLECTING)

    async def one(podman: Podman, root: Place, scratch: str, container: str) -> None:
        handle = podman.containers.handle(container)
        async with turns:
            with Ledgers() as ledgers:
                found = await collect(handle, ["/data"], root / container, Limits(), ledgers)
                assert not found.artifacts[0].problem, found.artifacts[0].problem
                listed = Path(scratch, f"{container}.json")
                await to_thread.run_sync(write_manifest, listed, "bench", container, 1, found)

    with below(into) as root, tempfile.TemporaryDirectory() as scratch:
        podman = Podman(Endpoint(url, "the benchmark"))
        async with podman, anyio.create_task_group() as group:
            for container in containers:
                group.start_soon(one, podman, root, scratch, container)
    seconds = time.perf_counter() - started
    print(json.dumps([seconds, peak_memory(os.getpid()) - idle]))


CONTESTANTS: dict[str, Callable[[RigService, Sequence[str], Path], float]] = {
    "podman cp": podman_cp,
    "curl | tar": curl_tar,
    "extractall": data_filter,
}


def fetching(
    service: RigService, task: Task, containers: Sequence[str], place: Path, rounds: int
) -> Contest:
    contest = Contest(f"{task.name}, {place.name}")
    turns = [*CONTESTANTS, "barasync"]
    for number in range(rounds):
        for contestant in turns if number % 2 == 0 else reversed(turns):
            with tempfile.TemporaryDirectory(dir=place) as name:
                os.sync()
                if contestant == "barasync":
                    seconds, memory = barasync(service, containers, Path(name))
                    contest.memory.append(memory)
                else:
                    seconds = CONTESTANTS[contestant](service, containers, Path(name))
                arrived = arrived_in(Path(name))
                count = task.containers * task.files
                assert arrived == (count, count * task.size), f"{contestant}: {arrived}"
                contest.add(contestant, seconds)
        contest.add_bound("podman alone", podman_alone(service, containers))
        contest.add_bound("SHA-256 alone", checksums(task))
    contest.seconds = {name: contest.seconds[name] for name in turns}
    return contest


def arrived_in(place: Path) -> tuple[int, int]:
    """Return the number of files below a directory, and their bytes."""
    found = [Path(above, name) for above, _, names in os.walk(place) for name in names]
    return len(found), sum(path.stat().st_size for path in found)


def make_tree(root: Path, files: int, size: int) -> None:
    """Make files of random bytes, a hundred to a directory."""
    for number in range(files):
        directory = root / f"directory-{number // 100:03}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"file-{number:05}.txt").write_bytes(os.urandom(size))


@contextmanager
def filled(service: RigService, task: Task, scratch: Path) -> Iterator[list[str]]:
    """Make the containers of a task; `/data` of each has its files."""
    image = service.busybox(native_architecture())
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        make_tree(Path(name, "data"), task.files, task.size)
        made = [anyio.run(create, service.endpoint.url, image) for _ in range(task.containers)]
        for container in made:
            upload = f"{API}/containers/{container}/archive?path=/"
            curl = f"curl -sf --unix-socket {service.endpoint.socket_path}"
            timed(f"tar -c data | {curl} -X PUT -T - '{upload}'", cwd=Path(name))
    try:
        yield made
    finally:
        for container in made:
            libpod.remove_container(service.endpoint.socket_path, container)


async def create(url: str, image: str) -> str:
    async with Podman(Endpoint(url, "the benchmark")) as podman:
        return (await podman.containers.create(ContainerSpec(image=image, command=("true",)))).id


async def send_layer(url: str, image: str, root: Path) -> float:
    """Read a tree, send it as a layer and commit it, as barasync does; return the seconds."""
    started = time.perf_counter()
    tree = await to_thread.run_sync(scan, root)
    async with Podman(Endpoint(url, "the benchmark")) as podman:
        await ensure_layer(
            podman,
            image_id=image,
            platform=parse(native_architecture()),
            tree=tree,
            labels={"bench": "archives"},
            maker={"bench": "archives"},
        )
    return time.perf_counter() - started


def send_by_curl(service: RigService, image: str, root: Path, number: int) -> float:
    """Do the same with curl: create, PUT, commit, delete."""
    curl = f"curl -sf --unix-socket {service.endpoint.socket_path}"
    body = json.dumps({"image": image, "command": ["true"]})
    return timed(
        f"{curl} -H 'Content-Type: application/json' -d {shlex.quote(body)} "
        f"{API}/containers/create | grep -oE '[0-9a-f]{{64}}' >../id\n"
        f'tar -c . | {curl} -X PUT -T - "{API}/containers/$(cat ../id)/archive?path=/tmp"\n'
        f'{curl} -X POST "{API}/commit?container=$(cat ../id)&repo=localhost/curl&tag=t{number}'
        '&pause=false"\n'
        f'{curl} -X DELETE "{API}/containers/$(cat ../id)?force=true&timeout=0"',
        cwd=root,
    )


def sending(service: RigService, scratch: Path, rounds: int) -> Contest:
    contest = Contest("a layer of 5,000 files, 50 MB")
    image = service.busybox(native_architecture())
    for number in range(rounds):
        # A tree of its own for each round: a layer that exists is not made again.
        with tempfile.TemporaryDirectory(dir=scratch) as name:
            root = Path(name, "tree")
            make_tree(root, 5_000, 10_000)
            turns: list[Callable[[], None]] = [
                lambda root=root, number=number: contest.add(
                    "tar | curl", send_by_curl(service, image, root, number)
                ),
                lambda root=root: contest.add(
                    "barasync", anyio.run(send_layer, service.endpoint.url, image, root)
                ),
            ]
            for turn in turns if number % 2 == 0 else reversed(turns):
                turn()
    return contest


@contextmanager
def places() -> Iterator[tuple[Path, Path]]:
    """Make a directory on the disk and one on a tmpfs, where every podman of the rig sees them."""
    base = Path(tempfile.mkdtemp(prefix="barasync-bench-"))
    disk, memory = base / "disk", base / "tmpfs"
    disk.mkdir()
    memory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(memory)], check=True)
    try:
        yield disk, memory
    finally:
        subprocess.run(["umount", "--lazy", str(memory)], check=True)
        shutil.rmtree(base)


def main() -> None:
    end_as_with_ctrl_c()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="a part of the names of what is measured")
    parser.add_argument("--podman", default="", help="the beginning of a version")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--collect", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.collect:
        url, into, *containers = options.collect
        anyio.run(collect_all, url, Path(into), containers)
        return
    results = []
    with places() as (disk, memory):
        for installation in (services.host_podman(), services.trixie_podman()):
            if not installation.version.startswith(options.podman):
                continue
            with services.running(installation) as service:
                print(f"podman {service.version}")
                for contest in contests(service, disk, memory, options.rounds, options.only):
                    contest.show()
                    results.append((service.version, contest))
    if options.json is not None:
        document = [
            {
                "podman": version,
                "what": contest.name,
                "seconds": contest.seconds,
                "bounds_seconds": contest.bounds,
                "memory_bytes": contest.memory,
                "ratios": {name: contest.ratio(name) for name in contest.seconds},
            }
            for version, contest in results
        ]
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def contests(
    service: RigService, disk: Path, memory: Path, rounds: int, only: str
) -> Iterator[Contest]:
    for task in TASKS:
        if only in task.name:
            with filled(service, task, disk) as containers:
                for place in (memory, disk):
                    yield fetching(service, task, containers, place, rounds)
    if only in "a layer of 5,000 files":
        yield sending(service, disk, rounds)


if __name__ == "__main__":
    main()
